"""Dutch, for the gate."""

from __future__ import annotations

from ragweft.caching.reading.wording import Wording, kinds, numbered, pairs, words

__all__ = ["DUTCH"]

DUTCH = Wording(
    language="dutch",
    negators=words("niet nooit geen zonder niemand niets nergens noch onmogelijk behalve verboden vermijden"),
    un_prefixes=("on", "in", "niet"),
    numbers=numbered("nul - twee drie vier vijf zes zeven acht negen tien elf twaalf") | {"twintig": 20},
    scales={"honderd": 100, "duizend": 1000, "miljoen": 10**6, "miljard": 10**9},
    ordinals=numbered("eerste tweede derde vierde vijfde zesde zevende achtste negende tiende", 1),
    months=numbered(
        "januari februari maart april mei juni juli augustus september oktober november december", 1
    ),
    weekdays=numbered("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag", 1),
    relative=kinds("""
        yesterday: gisteren
        today: vandaag
        tomorrow: morgen
        morning: ochtend
        afternoon: middag
        evening: avond vanavond
        night: nacht
        summer: zomer
        winter: winter
    """),
    near=kinds("""
        last: vorige vorig afgelopen
        next: volgende volgend komende
        this: deze dit
    """),
    periods=words("dag week maand jaar kwartaal"),
    units=kinds("""
        second: seconde seconden
        minute: minuut minuten
        hour: uur uren
        day: dag dagen
        week: week weken
        month: maand maanden
        year: jaar jaren
        time: keer
    """),
    prepositions=kinds("""
        of: van
        in: in binnen
        at: bij aan
        on: op
        by: door
        for: voor
        with: met
        from: vanaf uit
        to: naar tot
        about: over
        against: tegen
        between: tussen
        after: na
        under: onder
        than: dan
        as: als
    """),
    joints=words("en of"),
    breaks=words("die dat omdat wanneer hoewel indien maar terwijl waar"),
    be=words("is zijn was waren wordt worden werd werden ben bent geworden"),
    determiners=words("de het een deze dit mijn jouw zijn haar hun ons onze"),
    agents=words("door"),
    asks=kinds("""
        who: wie wiens
        what: wat
        which: welke welk
        when: wanneer
        where: waar waarheen
        why: waarom
        how: hoe
        amount: hoeveel
    """),
    yes_no=kinds("""
        any: is zijn was waren heeft hebben heb had wordt ben
        can: kan kunnen mag mogen kunt zou
        must: moet moeten hoef
    """),
    persons={"ik": "i", "mij": "i", "me": "i", "wij": "i", "jij": "you", "je": "you", "hij": "he", "hem": "he"},
    light=words("alsjeblieft alstublieft bedankt hallo eigenlijk gewoon ook heel erg"),
    opposites=pairs("""
        inschakelen activeren aanzetten | uitschakelen deactiveren uitzetten
        verhogen vergroten | verlagen verkleinen verminderen
        toevoegen | verwijderen wissen
        openen | sluiten
        starten beginnen begin | stoppen eindigen einde
        minimum minimaal | maximum maximaal
        voor vooraf | na achteraf
        kopen koop koper | verkopen verkoop verkoper
        importeren invoer | exporteren uitvoer
        versleutelen | ontsleutelen
        aanmelden inloggen | afmelden uitloggen
        blokkeren vergrendelen | deblokkeren ontgrendelen
        sturen verzenden | ontvangen
        uploaden | downloaden
        installeren | verwijderen
        storten | opnemen
        nieuw nieuwe nieuwste | oud oude oudste
        meer | minder
        groot groter grootste | klein kleiner kleinste
        links | rechts
        altijd | nooit
        noorden | zuiden
        oosten | westen
        voordelen voordeel | nadelen nadeel
    """),
)
