"""French, for the gate."""

from __future__ import annotations

from ragweft.caching.reading.wording import Wording, kinds, numbered, pairs, words

__all__ = ["FRENCH"]

FRENCH = Wording(
    language="french",
    negators=words("pas jamais sans aucun aucune rien personne ni impossible sauf excepté interdit éviter non"),
    un_prefixes=("in", "im", "non", "dé", "dés", "ir", "il"),
    numbers=numbered("zéro - deux trois quatre cinq six sept huit neuf dix onze douze")
    | {"vingt": 20, "trente": 30},
    scales={"cent": 100, "cents": 100, "mille": 1000, "million": 10**6, "millions": 10**6, "milliards": 10**9},
    ordinals=numbered("premier/première deuxième troisième quatrième cinquième sixième septième huitième", 1),
    months=numbered(
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        1,
    ),
    weekdays=numbered("lundi mardi mercredi jeudi vendredi samedi dimanche", 1),
    relative=kinds("""
        yesterday: hier
        today: aujourd
        tomorrow: demain
        morning: matin
        noon: midi
        midnight: minuit
        evening: soir soirée
        night: nuit
        summer: été
        winter: hiver
        spring: printemps
        autumn: automne
        past: dernier dernière passé passée
        coming: prochain prochaine
    """),
    units=kinds("""
        second: seconde secondes
        minute: minute minutes
        hour: heure heures
        day: jour jours
        week: semaine semaines
        month: mois
        year: an ans année années
        time: fois
    """),
    prepositions=kinds("""
        of: de du des d
        in: dans en
        to: à au aux vers
        on: sur
        by: par
        for: pour
        with: avec
        from: depuis
        against: contre
        between: entre
        before: avant
        after: après
        until: jusqu jusque
        under: sous
        than: que qu
        as: comme
    """),
    joints=words("et ou"),
    breaks=words("qui dont lorsque parce si mais puisque"),
    be=words("est sont était étaient être été suis fut furent sera"),
    determiners=words("le la les l un une ce cette ces mon ma mes son sa ses leur leurs notre votre"),
    agents=words("par"),
    asks=kinds("""
        who: qui
        what: quoi que qu quel quelle quels quelles
        when: quand
        where: où
        why: pourquoi
        how: comment
        amount: combien
    """),
    yes_no=kinds("""
        any: est sont était as avez ai
        can: puis peut peux pouvez peuvent pourrait
        must: dois doit devez faut devrais
    """),
    persons={"je": "i", "j": "i", "me": "i", "tu": "you", "te": "you", "il": "he", "elle": "she", "lui": "he"},
    light=words("svp merci bonjour salut vraiment juste très aussi"),
    opposites=pairs("""
        activer allumer | désactiver éteindre
        augmenter | diminuer réduire baisser
        ajouter insérer | supprimer enlever retirer
        ouvrir | fermer
        démarrer commencer lancer début | arrêter finir terminer fin
        minimum minimal | maximum maximal
        avant | après
        acheter achat acheteur | vendre vente vendeur
        importer importation | exporter exportation
        chiffrer crypter | déchiffrer décrypter
        connecter | déconnecter
        bloquer verrouiller | débloquer déverrouiller
        envoyer | recevoir
        installer | désinstaller
        nouveau nouvelle récent | ancien ancienne vieux
        plus | moins
        grand grande | petit petite
        gauche | droite
        toujours | jamais
        nord | sud
        est | ouest
        avantages avantage | inconvénients inconvénient
        cher chère | économique
        rapide | lent
    """),
)
