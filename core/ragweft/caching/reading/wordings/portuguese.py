"""Portuguese, for the gate."""

from __future__ import annotations

from ragweft.caching.reading.wording import Wording, kinds, numbered, pairs, words

__all__ = ["PORTUGUESE"]

PORTUGUESE = Wording(
    language="portuguese",
    negators=words("não nunca jamais sem nenhum nenhuma nada ninguém nem impossível exceto evitar"),
    un_prefixes=("in", "im", "des", "não", "ir", "i"),
    numbers=numbered("zero - dois/duas três quatro cinco seis sete oito nove dez onze doze") | {"vinte": 20},
    scales={"cem": 100, "centos": 100, "mil": 1000, "milhão": 10**6, "milhões": 10**6},
    ordinals=numbered("primeiro/primeira segundo/segunda terceiro/terceira quarto/quarta quinto/quinta", 1),
    months=numbered(
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        1,
    ),
    weekdays=numbered("segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo", 1),
    relative=kinds("""
        yesterday: ontem
        today: hoje
        tomorrow: amanhã
        morning: manhã
        afternoon: tarde
        night: noite
        summer: verão
        winter: inverno
        past: passado passada
        coming: próximo próxima
    """),
    units=kinds("""
        second: segundos
        minute: minuto minutos
        hour: hora horas
        day: dia dias
        week: semana semanas
        month: mês meses
        year: ano anos
        time: vezes vez
    """),
    prepositions=kinds("""
        of: de do da dos das
        in: em no na nos nas
        to: a ao à aos às
        by: por pelo pela
        for: para
        with: com
        from: desde
        on: sobre
        against: contra
        between: entre
        before: antes
        after: depois após
        until: até
        under: sob
        than: que
        as: como
    """),
    joints=words("e ou"),
    breaks=words("quem quando porque se mas onde embora"),
    be=words("é são era eram foi foram está estão ser sido sou"),
    determiners=words("o os um uma uns umas meu minha seu sua este esta"),
    agents=words("por pelo pela"),
    asks=kinds("""
        who: quem
        what: que quê
        which: qual quais
        when: quando
        where: onde
        how: como
        amount: quanto quanta quantos quantas
    """),
    yes_no=kinds("""
        any: é são está há tem
        can: posso pode podem podemos poderia
        must: devo deve devemos deveria
    """),
    persons={"eu": "i", "me": "i", "mim": "i", "você": "you", "te": "you", "ele": "he", "ela": "she"},
    light=words("favor obrigado obrigada olá realmente só muito também"),
    opposites=pairs("""
        ativar ligar habilitar | desativar desligar desabilitar
        aumentar | diminuir reduzir
        adicionar inserir | remover excluir apagar
        abrir | fechar
        começar iniciar início | parar terminar fim
        mínimo mínima | máximo máxima
        antes | depois
        comprar compra | vender venda
        importar importação | exportar exportação
        conectar | desconectar
        bloquear | desbloquear
        enviar | receber
        carregar | baixar
        instalar | desinstalar
        depositar | sacar
        novo nova recente | velho velha antigo
        mais | menos
        grande maior | pequeno menor
        esquerda | direita
        sempre | nunca
        norte | sul
        leste | oeste
        vantagens vantagem | desvantagens desvantagem
    """),
)
