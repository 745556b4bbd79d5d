"""Spanish, for the gate."""

from __future__ import annotations

from ragweft.caching.reading.wording import Wording, kinds, numbered, pairs, words

__all__ = ["SPANISH"]

SPANISH = Wording(
    language="spanish",
    negators=words(
        "no nunca jamás sin ningún ninguno ninguna nada nadie ni tampoco imposible excepto salvo evitar"
    ),
    un_prefixes=("in", "im", "des", "no", "ir", "i"),
    numbers=numbered("cero - dos tres cuatro cinco seis siete ocho nueve diez once doce")
    | {"veinte": 20, "treinta": 30},
    scales={"cien": 100, "cientos": 100, "mil": 1000, "millón": 10**6, "millones": 10**6},
    ordinals=numbered(
        "primer/primero/primera segundo/segunda tercer/tercero/tercera cuarto/cuarta quinto/quinta", 1
    ),
    months=numbered(
        "enero febrero marzo abril mayo junio julio agosto septiembre/setiembre octubre noviembre diciembre",
        1,
    ),
    weekdays=numbered("lunes martes miércoles jueves viernes sábado/sábados domingo/domingos", 1),
    relative=kinds("""
        yesterday: ayer
        today: hoy
        tomorrow: mañana
        afternoon: tarde
        night: noche
        noon: mediodía
        summer: verano
        winter: invierno
        spring: primavera
        autumn: otoño
        past: pasado pasada
        coming: próximo próxima
    """),
    units=kinds("""
        second: segundos
        minute: minuto minutos
        hour: hora horas
        day: día días
        week: semana semanas
        month: mes meses
        year: año años
        time: veces vez
    """),
    prepositions=kinds("""
        of: de del
        in: en dentro
        to: a al hacia
        on: sobre
        by: por
        for: para
        with: con
        from: desde
        against: contra
        between: entre
        before: antes
        after: después tras
        until: hasta
        under: bajo
        than: que
        as: como
    """),
    joints=words("y e o u"),
    breaks=words("quien cuyo cuando porque si pero aunque mientras donde"),
    be=words("es son era eran fue fueron está están estaba ser sido soy será"),
    determiners=words("el la los las un una unos unas este esta estos mi mis su sus tu tus lo"),
    agents=words("por"),
    asks=kinds("""
        who: quién quiénes
        what: qué que
        which: cuál cuáles
        when: cuándo
        where: dónde adónde
        how: cómo
        amount: cuánto cuánta cuántos cuántas
    """),
    yes_no=kinds("""
        any: es son está están hay ha tiene tengo
        can: puedo puede pueden podemos podría puedes
        must: debo debe deberíamos debería debemos tenemos
    """),
    persons={"yo": "i", "me": "i", "mi": "i", "tú": "you", "te": "you", "él": "he", "ella": "she", "le": "he"},
    light=words("favor gracias hola realmente solo muy también"),
    opposites=pairs("""
        activar encender habilitar | desactivar apagar deshabilitar
        aumentar subir incrementar | disminuir bajar reducir
        añadir agregar insertar | eliminar quitar borrar
        abrir | cerrar
        empezar iniciar comenzar inicio | parar terminar detener fin
        mínimo mínima | máximo máxima
        antes | después
        comprar compra comprador | vender venta vendedor
        importar importación | exportar exportación
        cifrar encriptar | descifrar desencriptar
        conectar | desconectar
        bloquear | desbloquear
        enviar | recibir
        subir cargar | bajar descargar
        instalar | desinstalar
        depositar | retirar
        nuevo nueva reciente | viejo vieja antiguo
        más | menos
        grande mayor | pequeño menor
        izquierda | derecha
        siempre | nunca
        norte | sur
        este | oeste
        ventajas ventaja | desventajas desventaja inconvenientes
        barato barata | caro cara
        rápido | lento
    """),
)
