"""German, for the gate."""

from __future__ import annotations

from ragweft.caching.reading.wording import Wording, kinds, numbered, pairs, words

__all__ = ["GERMAN"]

GERMAN = Wording(
    language="german",
    negators=words(
        "nicht nie niemals kein keine keinen keinem keiner keines ohne niemand nichts nirgends weder unmöglich "
        "außer ausgenommen vermeiden verboten"
    ),
    un_prefixes=("un", "in", "nicht"),
    numbers=numbered("null - zwei drei vier fünf sechs sieben acht neun zehn elf zwölf")
    | {"zwanzig": 20, "dreißig": 30, "vierzig": 40, "fünfzig": 50, "sechzig": 60, "achtzig": 80, "neunzig": 90},
    scales={"hundert": 100, "tausend": 1000, "million": 10**6, "millionen": 10**6, "milliarden": 10**9},
    ordinals={
        f"{stem}{end}": value
        for value, stem in enumerate(
            ("erst", "zweit", "dritt", "viert", "fünft", "sechst", "siebt", "acht", "neunt", "zehnt"), 1
        )
        for end in ("e", "en", "er", "es", "em")
    },
    months=numbered("januar februar märz april mai juni juli august september oktober november dezember", 1),
    weekdays=numbered("montag dienstag mittwoch donnerstag freitag samstag/sonnabend sonntag", 1),
    relative=kinds("""
        yesterday: gestern
        today: heute
        tomorrow: morgen
        before-yesterday: vorgestern
        after-tomorrow: übermorgen
        morning: vormittag früh
        noon: mittag mittags
        evening: abend abends
        night: nacht nachts
        weekend: wochenende
        summer: sommer
        winter: winter
        spring: frühling frühjahr
        autumn: herbst
        daily: täglich
        weekly: wöchentlich
        monthly: monatlich
        yearly: jährlich
    """),
    near=kinds("""
        last: letzte letzten letzter letztes letztem vorige vorigen voriges vergangene vergangenen
        next: nächste nächsten nächster nächstes nächstem kommende kommenden kommendes
        this: diese diesen dieser dieses diesem
    """),
    periods=words("tag woche monat jahr quartal wochen monate jahre"),
    units=kinds("""
        second: sekunde sekunden
        minute: minute minuten
        hour: stunde stunden
        day: tag tage tagen
        week: woche wochen
        month: monat monate monaten
        year: jahr jahre jahren
        time: mal
    """),
    prepositions=kinds("""
        of: des der
        in: in im innerhalb
        at: an am bei beim
        on: auf
        by: durch
        for: für
        with: mit
        from: von vom aus ab
        to: zu zum zur nach ins
        about: über
        against: gegen
        between: zwischen
        before: vor
        after: nach
        until: bis
        since: seit
        under: unter
        than: als
        as: wie
    """),
    joints=words("und oder sowie"),
    breaks=words("dass weil während wenn obwohl falls ob sondern aber deren dessen welche welcher welches wo"),
    be=words("ist sind war waren wird werden wurde wurden bin bist worden geworden gewesen"),
    determiners=words("die das den dem ein eine einen einem einer eines mein meine meinen ihre ihr sein seine"),
    agents=words("von vom durch"),
    asks=kinds("""
        who: wer wen wem wessen
        what: was
        which: welche welcher welches welchen welchem
        when: wann
        where: wo wohin woher
        why: warum wieso weshalb
        how: wie
        amount: wieviel wieviele
    """),
    yes_no=kinds("""
        any: ist sind war waren hat haben habe hatte hast wird werden wurde gibt bin würde
        can: kann können könnte darf dürfen kannst konnte
        must: muss müssen soll sollte sollen sollten musst
    """),
    persons=kinds("""
        i: ich mir mich wir uns
        you: du dir dich
        he: er ihm ihn
    """),
    light=words("bitte danke hallo eigentlich denn mal doch einfach genau auch sehr gern gerne"),
    opposites=pairs("""
        aktivieren einschalten anschalten aktiviere | deaktivieren ausschalten abschalten deaktiviere
        erhöhen steigern vergrößern | verringern senken reduzieren verkleinern
        hinzufügen einfügen | entfernen löschen
        öffnen aufmachen | schließen zumachen
        starten beginnen anfangen start beginn | stoppen enden beenden stopp ende
        minimum minimal mindestens | maximum maximal höchstens
        vor vorher | nach nachher danach
        kaufen kauf käufer | verkaufen verkauf verkäufer
        importieren import einfuhr | exportieren export ausfuhr
        verschlüsseln | entschlüsseln
        anmelden einloggen | abmelden ausloggen
        sperren | entsperren
        senden schicken | empfangen erhalten
        hochladen | herunterladen
        installieren | deinstallieren
        einzahlen einzahlung | abheben auszahlen auszahlung
        mieten mieter | vermieten vermieter
        neueste neuesten neu neue | älteste ältesten alt alte
        größer größte groß | kleiner kleinste klein
        mehr | weniger
        erlaubt erlauben | verboten verbieten
        links | rechts
        innen | außen
        immer | nie niemals
        norden nördlich | süden südlich
        osten östlich | westen westlich
        vorteile vorteil | nachteile nachteil
        billig günstig | teuer
        schnell schneller | langsam langsamer
    """),
)
