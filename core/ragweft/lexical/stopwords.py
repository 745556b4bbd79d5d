"""Words too common to tell one passage from another, by language.

Written for ragweft: articles, pronouns, prepositions, conjunctions, auxiliaries and question words, with what
an apostrophe leaves behind ("don't" is read as "don" and "t"). Words that carry meaning in technical prose
("get", "use", "new", "first") stay out, and so do words that are also common nouns.
"""

from __future__ import annotations

from functools import cache

_WORDS = {
    "danish": """
        af aldrig alle allerede alt anden andet andre at begge blev blive bliver da de dem den denne der
        deres det dette dig din dine disse dit dog du efter eller en end er et for fordi fra før ham han
        hans har havde have hende hendes her hos hun hvad hver hvilken hvis hvor hvordan hvorfor i ikke ind
        jeg jer jo kan kunne lige man mange med meget men mere mig min mine mit mod ned nej nogen noget
        nogle nu når og også om op os over på selv sig sin sine sit skal skulle som sådan thi til ud under
        var ved vi vil ville vor være været
    """,
    "dutch": """
        aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er
        ge geen had heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je kan kon kunnen maar
        me meer men met mij mijn moet na naar niet niets nog nu of om omdat onder ons ook op over reeds te
        tegen toch toen tot u uit uw van veel voor waarom wanneer want waren was wat we welke werd wezen wie
        wij wil worden wordt zal ze zelf zich zij zijn zo zonder zou
    """,
    "english": """
        a about above after again against all also am an and any are as at be because been before being
        below between both but by can cannot could did do does doing during each few for from further had
        has have having he her here hers herself him himself his how i if in into is it its itself just me
        might more most must my myself no nor not of off on once only or other ought our ours ourselves out
        over own same shall she should so some such than that the their theirs them themselves then there
        these they this those through to too under until up us very was we were what when where which while
        who whom why will with would you your yours yourself yourselves s t d m ll ve ain aren couldn didn
        doesn don hadn hasn haven isn mustn needn shouldn wasn weren wouldn
    """,
    "finnish": """
        ei eivät ehkä eli en ennen että he heidän heidät heille hän hänelle hänen hänet ja jo joka jokin jos
        joten jotka kanssa keiden kenen kenet ketkä koska koskaan kuin kuka kun kuten me meidän meidät
        meille mikä mikäli miksi millainen milloin minkä minua minulle minun minut minä missä mistä mitkä
        mitä mukaan mutta myös ne niiden niille niin niitä noin nuo nyt nämä näiden näitä ole olen olet oli
        olisi olivat olla olleet ollut on ovat poikki se sekä sen siinä sille silti sinua sinulle sinun
        sinut sinä sitä tai te teidän tuo tähän tällä tämä tämän tässä tästä tätä vaan vai vaikka voi
    """,
    "french": """
        à ai aie ainsi alors au aucun aura aussi autre aux avaient avais avait avant avec avez avoir avons
        ayant car ce ceci cela celle celles celui ces cet cette ceux chaque chez ci comme comment dans de
        depuis des donc dont du elle elles en encore entre es est et étaient étais était étant êtes être eu
        eux fut il ils je jusque la là laquelle le lequel les lesquels leur leurs lors lorsque lui ma mais
        me même mes moi mon ne ni nos notre nous on ont ou où par parce pas pendant plus pour pourquoi puis
        qu quand que quel quelle quelles quels qui quoi sa sans se sera ses si sinon soi soit sommes son
        sont sous suis sur ta te tes toi ton tous tout toute toutes très tu un une vers vos votre vous y c d
        j l m n s t jusqu lorsqu puisqu
    """,
    "german": """
        aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes auch
        auf aus bei beim bin bis bist da damit dann das daß dass dein deine dem den denn der deren des
        dessen dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen
        einer eines er es etwas euch euer eure für gegen gewesen hab habe haben hat hatte hatten hier hin
        hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres im in indem ins ist jede jedem jeden jeder
        jedes jene jener jetzt kann kein keine keinem keinen keiner keines können könnte man manche mein
        meine mich mir mit muss musste nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem
        seinen seiner seit selbst sich sie sind so solche soll sollte sondern sonst über um und uns unser
        unsere unter viel vom von vor wann war waren warum was weg weil weiter welche welchem welchen
        welcher welches wenn wer werde werden wie wieder will wir wird wirst wo wollen wurde wurden während
        zu zum zur zwar zwischen
    """,
    "hungarian": """
        a ahogy ahol aki akik akkor alatt amely amelyek ami amikor az azok azon azonban azt aztán azután
        azért be csak de e ebben egy egyes el ez ezek ezen ezt ezzel ezért és fel ha hanem hogy hogyan ide
        igen ill is itt jó ki kívül le lehet lesz lett még meg mely mert mi miért mikor mint mit nagyon ne
        nekem neki nem nincs ott ő ők őket pedig s saját sem se sok szerint számára talán tehát te ti után
        vagy vagyok van vannak vele volna volt voltak át össze úgy
    """,
    "italian": """
        a abbiamo ad agli ai al alla alle allo anche ancora avere aveva avevano c che chi ci ciò cioè coi
        col come con contro cosa così cui d da dagli dai dal dalla dalle dallo degli dei del della delle
        dello dentro di dopo dove dunque e è ed era erano essere fa faccio fino fra gli ha hai hanno ho i il
        in io l la le lei li lo loro lui ma me mentre mi mia mie miei mio ne negli nei nel nella nelle nello
        noi non nostra nostre nostri nostro o ogni ognuno oppure per perché perciò però più poi poiché qual
        quale quali quando quanto quel quella quelle quelli quello questa queste questi questo qui quindi
        sarà se sei si sia siamo siete sono sopra sotto sta su sua sue sugli sui sul sulla sulle sullo suo
        suoi te ti tra tu tua tue tuo tuoi tutta tutte tutti tutto un una uno vi voi vostra vostro
    """,
    "norwegian": """
        alle at av bare begge ble bli blir blitt både da de deg dei deim deira den denne der dere deres det
        dette di din disse ditt du dykk eg ein eit eitt eller elles en enn er et ett etter for fordi fra før
        ha hadde han hans har hennar henne hennes her hos hun hva hvem hver hvilke hvilken hvis hvor hvordan
        hvorfor i ikke ikkje inn ja jeg kan kom korleis kun kunne kva kvar kven man mange med medan meg
        meget mellom men mer mi min mine mitt mot mykje nei no noe noen nå når og også om opp oss over på
        samme seg selv si sia sidan sin sine sitt sjøl skal skulle slik so som somme så til um under upp ut
        uten var vart ved vere verte vi vil ville vore være vært vår
    """,
    "polish": """
        a aby ale ani albo być był była było były będzie będą bez bo by bym byli ci co czy dla do gdy gdyby
        gdyż gdzie go i ich ile im inne iż ja jak jaka jakie jako je jego jej jemu jest jestem jeszcze jeśli
        jeżeli już każdy kiedy kto która które którego której których którym którzy który lub ma mają mi
        mnie może mój my na nad nam nas nasz nich nie nim niż o od on ona one oni oraz po pod ponieważ poza
        przed przez przy się są swoje ta tak taki takie tam te tego tej ten też to tu tutaj ty tych tylko
        tym u w więc wszystko was we wy z za zawsze ze że żeby
    """,
    "portuguese": """
        a à ao aos aquela aquelas aquele aqueles aquilo as às até com como da das de dela delas dele deles
        depois do dos e é ela elas ele eles em entre era eram essa essas esse esses esta está estão estas
        estava este estes estou eu foi foram há isso isto já lhe lhes mais mas me mesmo meu meus minha
        minhas muito na não nas nem no nos nós nossa nossas nosso nossos num numa o onde os ou para pela
        pelas pelo pelos por porque quais qual quando que quem são se sem ser será seu seus só sua suas
        também te tem têm tenho ter teu tinha tua tu tudo um uma umas uns você vocês vos
    """,
    "romanian": """
        a acea aceasta această aceea acel acela acele acest acesta aceste acestea acestor acestui aceşti
        acești ai aici al ale am ar are aş aș asta astfel atunci au avea aveam ca că când care cărei cărui
        ce cea cei cel cele celor cine cît cât cum cu da dacă dar de deci deşi deși din dintre doar după ea
        ei el ele era erau este eşti ești eu fără fi fie fiecare fost iar îi îl îmi în între își îţi îți la
        le li lor lui mai mea mei mele meu mi mie mine mult ne nici nimic noastră nostru noi nu o ori pe
        pentru prin sa să sale sau săi se si și şi sub sunt sînt ta te tot tu un una unde unei unele unii
        unor unui va vă voastră voi vor vostru
    """,
    "russian": """
        а без более больше бы был была были было быть в вам вас весь во вот все всего всех вы где да даже
        для до его ее её ей ему если есть еще ещё же за здесь и из или им их к как какая какой когда кто ли
        либо между меня мне много может можно мой мы на над надо нас не него нее ней нет ни них но ну о об
        он она они оно от по под после потом потому почему при про раз с сам свой свою себе себя со так
        также такой там тебя тем то тогда того тоже только том тот ты у уже чего чем через что чтобы эта эти
        этим этих это этого этой этом этот эту я
    """,
    "spanish": """
        a al algo algunas algunos ante antes aquel aquella aunque cada como cómo con contra cual cuál cuando
        cuándo cuales de del desde donde dónde durante e el él ella ellas ellos en entre era eran eres es
        esa esas ese eso esos esta está están estas este esto estos estoy fue fueron ha había habían han has
        hasta hay he la las le les lo los más me mi mí mis mucho muchos muy nada ni no nos nosotras nosotros
        nuestra nuestras nuestro nuestros o os otra otras otro otros para pero poco por porque pues que qué
        quien quién quienes se sea ser será si sí sido sin sino sobre son soy su sus suya suyo también tanto
        te tengo tiene tienen todo todos tu tú tus un una uno unos vosotros vuestra vuestro y ya yo
    """,
    "swedish": """
        alla allt att av bara blev bli blir blivit bland dem den denna deras dess dessa det detta dig din
        dina ditt du där då efter ej eller en er era ert ett från för före genom ha hade han hans har henne
        hennes hon honom hos hur här i icke ingen inget inom inte jag ju kan kunde man med mellan men mer
        mig min mina mitt mot mycket ni nu när någon något några och om oss på redan samma sedan sig sin
        sina sitt sina själv skall ska skulle som så sådan till under upp ut utan vad var vara varför varit
        varje vars vem vi vid vilka vilken vilket vår våra vårt än är åt över
    """,
    "turkish": """
        acaba ama ancak artık aslında az bana bazı belki ben beni benim bile bir biraz biri birkaç biz bize
        bizi bizim bu buna bunda bundan bunlar bunu bunun burada çok çünkü da daha de defa değil diye dolayı
        en gibi hem henüz hep hepsi her herhangi hiç için ile ilgili ise işte kadar karşın ki kim kime mı mi
        mu mü nasıl ne neden nerede nereye niçin niye o olan olarak oldu olduğu olması olmaz olur ona onlar
        onların onu onun orada öyle pek rağmen sana sanki sen seni senin siz size sizi sizin şey şimdi şu
        şöyle tarafından tüm var ve veya ya yani yine yok zaten
    """,
}


@cache
def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language in lower case, by its Snowball name; none for a language without a list."""
    return frozenset(_WORDS.get(language, "").split())
