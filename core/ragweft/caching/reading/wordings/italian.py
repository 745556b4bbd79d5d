"""Italian, for the gate."""

from __future__ import annotations

from ragweft.caching.reading.wording import Wording, kinds, numbered, pairs, words

__all__ = ["ITALIAN"]

ITALIAN = Wording(
    language="italian",
    negators=words("non mai senza nessun nessuno nessuna niente nulla né impossibile tranne eccetto evitare"),
    un_prefixes=("in", "im", "dis", "non", "s", "ir"),
    numbers=numbered("zero - due tre quattro cinque sei sette otto nove dieci undici dodici") | {"venti": 20},
    scales={"cento": 100, "mille": 1000, "mila": 1000, "milione": 10**6, "milioni": 10**6},
    ordinals=numbered("primo/prima secondo/seconda terzo/terza quarto/quarta quinto/quinta", 1),
    months=numbered(
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        1,
    ),
    weekdays=numbered("lunedì martedì mercoledì giovedì venerdì sabato domenica", 1),
    relative=kinds("""
        yesterday: ieri
        today: oggi
        tomorrow: domani
        morning: mattina
        afternoon: pomeriggio
        evening: sera stasera
        night: notte
        summer: estate
        winter: inverno
        past: scorso scorsa
        coming: prossimo prossima
    """),
    units=kinds("""
        second: secondi
        minute: minuto minuti
        hour: ora ore
        day: giorno giorni
        week: settimana settimane
        month: mese mesi
        year: anno anni
        time: volte volta
    """),
    prepositions=kinds("""
        of: di del dello della dei degli delle
        in: in nel nello nella nei nelle
        to: a al allo alla ai agli alle verso
        from: da dal dallo dalla dai dalle
        on: su sul sulla sui
        for: per
        with: con
        against: contro
        between: tra fra
        before: prima
        after: dopo
        until: fino
        under: sotto
        than: che
        as: come
    """),
    joints=words("e ed o oppure"),
    breaks=words("cui quando perché se ma mentre dove"),
    be=words("è sono era erano essere stato stata stati fu viene sei"),
    determiners=words("il lo la i gli le un uno una l mio mia suo sua questo questa"),
    agents=words("da dal dallo dalla dai"),
    asks=kinds("""
        who: chi
        what: cosa che
        which: quale quali qual
        when: quando
        where: dove
        why: perché
        how: come
        amount: quanto quanta quanti quante
    """),
    yes_no=kinds("""
        any: è sono ha hanno ci
        can: posso può possono possiamo puoi potrei
        must: devo deve devono dobbiamo dovrei
    """),
    persons={"io": "i", "mi": "i", "tu": "you", "ti": "you", "lui": "he", "lei": "she"},
    light=words("favore grazie ciao davvero solo molto anche"),
    opposites=pairs("""
        attivare accendere abilitare | disattivare spegnere disabilitare
        aumentare | diminuire ridurre
        aggiungere inserire | rimuovere eliminare togliere
        aprire | chiudere
        iniziare cominciare avviare inizio | fermare finire terminare fine
        minimo minima | massimo massima
        prima | dopo
        comprare acquistare acquisto | vendere vendita
        importare importazione | esportare esportazione
        cifrare crittografare | decifrare decrittografare
        connettere | disconnettere
        bloccare | sbloccare
        inviare mandare | ricevere
        caricare | scaricare
        installare | disinstallare
        depositare | prelevare
        nuovo nuova recente | vecchio vecchia
        più | meno
        grande maggiore | piccolo minore
        sinistra | destra
        sempre | mai
        nord | sud
        est | ovest
        vantaggi vantaggio | svantaggi svantaggio
    """),
)
