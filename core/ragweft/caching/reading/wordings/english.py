"""English, for the gate."""

from __future__ import annotations

from ragweft.caching.reading.wording import Wording, kinds, numbered, pairs, words

__all__ = ["ENGLISH"]

ENGLISH = Wording(
    language="english",
    negators=words(
        "not no never none without nobody nothing nowhere neither nor cannot except excluding non arent "
        "cant couldnt didnt doesnt dont hadnt hasnt havent isnt shouldnt wasnt werent wont wouldnt"
    ),
    half_negators=words(
        "avoid avoids avoiding prevent prevents preventing lack lacks lacking fail fails failed failing "
        "refuse refuses refused forbidden prohibited banned unable impossible"
    ),
    un_prefixes=("un", "in", "im", "il", "ir", "non", "dis", "de"),
    numbers=numbered(
        "zero - two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty"
    )
    | {
        "thirty": 30,
        "forty": 40,
        "fifty": 50,
        "sixty": 60,
        "seventy": 70,
        "eighty": 80,
        "ninety": 90,
        "dozen": 12,
    },
    scales={"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12},
    ordinals=numbered("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth", 1),
    months=numbered(
        "january/jan february/feb march april/apr may june july august/aug september/sept/sep october/oct "
        "november/nov december/dec",
        1,
    ),
    weekdays=numbered(
        "monday/mondays tuesday/tuesdays wednesday/wednesdays thursday/thursdays friday/fridays "
        "saturday/saturdays sunday/sundays",
        1,
    ),
    relative=kinds("""
        yesterday: yesterday
        today: today
        tomorrow: tomorrow
        evening: tonight evening evenings
        morning: morning mornings
        afternoon: afternoon afternoons
        noon: noon midday
        midnight: midnight
        weekend: weekend weekends
        weekday: weekday weekdays
        spring: springtime
        summer: summer summers summertime
        autumn: autumn
        winter: winter winters
        daily: daily
        weekly: weekly
        monthly: monthly
        yearly: yearly annual annually
        hourly: hourly
        quarterly: quarterly
    """),
    near=kinds("""
        last: last past previous
        next: next coming upcoming following
        this: this current
    """),
    periods=words("day night week month year quarter decade century season semester term hour"),
    units=kinds("""
        second: second seconds
        minute: minute minutes
        hour: hour hours
        day: day days
        week: week weeks
        month: month months
        year: year years
        decade: decade decades
        century: century centuries
        time: time times
    """),
    prepositions=kinds("""
        of: of
        in: in inside within
        at: at near around
        on: on upon
        by: by via
        for: for
        with: with alongside
        from: from
        to: to into onto towards toward
        out: out outside
        about: about regarding concerning
        against: against
        between: between among amongst
        through: through throughout across
        during: during
        before: before
        after: after
        until: until till
        since: since
        above: above over
        below: below under underneath beneath
        beyond: beyond past
        than: than
        per: per
        behind: behind
        as: as
        like: like unlike
        up: up
        down: down
        off: off
    """),
    joints=words("and or vs versus"),
    breaks=words("which who whom whose that where whether but so"),
    adverbial=words("when while because although though if unless whereas once"),
    participles=words(
        "begun bought bound brought built caught cut done fed found gone held hit hung kept laid led left "
        "let lost made met paid put read reset run said sent set shot shut sold spent sung sunk swum taught "
        "thought told torn understood won worn wound"
    ),
    be=words("is are was were be been being am isn aren wasn weren"),
    determiners=words("the a an this these those my your his her its our their"),
    agents=words("by"),
    asks=kinds("""
        who: who whom whose
        what: what whats
        which: which
        when: when
        where: where
        why: why
        how: how
    """),
    yes_no=kinds("""
        any: is are was were am do does did has have had will would isn aren wasn weren don doesn didn haven
        any: hasn won
        can: can could may might couldn
        must: should must shall ought need shouldn mustn needn
    """),
    persons=kinds("""
        i: i me we us
        you: you
        he: he him
        she: she
        they: they them
    """),
    light=words(
        "please pls plz kindly thanks thank hi hello hey dear just really actually basically simply ok okay "
        "well also quite very sorry exactly however therefore moreover furthermore anyone someone somebody "
        "anybody everyone everybody there here get got gets getting way ways"
    ),
    opposites=pairs("""
        enable activate enabling activation | disable deactivate disabling deactivation
        increase raise increasing raising grow maximize | decrease reduce lower decreasing minimize
        add insert append adding attach | remove delete erase drop removing deleting subtract detach
        create | destroy delete
        open reopen opening | close shut closing
        start begin launch beginning began starting | stop end finish halt terminate stopping ending
        start begin continue resume | pause suspend
        min minimum lowest smallest least | max maximum highest largest biggest greatest most
        min minimum minimal | max maximum maximal
        before prior earlier | after later afterwards
        buy purchase bought buying buyer | sell sold selling seller sale
        import importing | export exporting
        encrypt encryption encode encrypting | decrypt decryption decode decrypting
        upgrade upgrading | downgrade downgrading
        latest newest recent | oldest earliest original
        first | last
        install installing installation | uninstall uninstalling
        connect join connecting | disconnect leave disconnecting
        login signin log-in | logout signout log-out
        lock locking | unlock unlocking
        block ban blocking | unblock allow unban
        allow permit accept approve permitted allowed | forbid deny reject refuse decline prohibit
        send sent sending transmit | receive received receiving
        upload uploading | download downloading
        push | pull
        read reading reader | write writing wrote writer
        load loading | unload unloading
        show display visible | hide hiding hidden invisible
        mute | unmute
        follow | unfollow
        subscribe subscription | unsubscribe cancel
        lend lent lending lender | borrow borrowed borrowing borrower
        deposit depositing | withdraw withdrawal withdrawing withdrew
        save saving | spend spending
        win won winning winner | lose lost losing loser
        gain gaining | lose loss losing
        arrive arrival arriving arrived | depart departure departing departed
        enter entering entry entrance | exit leave leaving exiting
        come coming came | go going went
        teach taught teaching teacher | learn learned learning learner
        ask asking question | answer answering reply
        attack attacking | defend defending defence defense
        rise rising rose | fall falling fell
        expand expanding widen | contract shrink narrow collapse
        merge combine combining join | split separate divide splitting
        include including | exclude excluding
        grant granting | revoke revoking
        compress zip compressing | decompress unzip extract
        serialize serialise marshal | deserialize deserialise unmarshal
        succeed success successful | fail failure failed
        true | false
        on | off
        up | down
        high higher highest | low lower lowest
        large larger largest big bigger biggest | small smaller smallest little
        long longer longest | short shorter shortest
        more | less fewer
        most | least fewest
        many | few
        fast faster fastest quick quicker quickly | slow slower slowest slowly
        old older oldest | new newer newest young younger youngest
        good better best | bad worse worst
        cheap cheaper cheapest inexpensive | expensive dearer costly
        strong stronger strongest | weak weaker weakest
        easy easier easiest simple | hard harder hardest difficult
        hot hotter hottest warm warmer | cold colder coldest cool cooler
        heavy heavier heaviest | light lighter lightest
        wide wider widest | narrow narrower narrowest
        deep deeper deepest | shallow shallower shallowest
        near nearest close closer closest | far farther farthest further
        top upper | bottom lower
        front | back rear
        left leftmost | right rightmost
        north northern | south southern
        east eastern | west western
        inside internal interior inner indoor indoors | outside external exterior outer outdoor outdoors
        input inputs | output outputs
        public | private
        local | remote
        client clients | server servers
        horizontal horizontally | vertical vertically
        positive | negative
        advantage advantages benefit benefits pro pros | disadvantage disadvantages drawback drawbacks con cons
        cause causes | effect effects
        ascending | descending
        forward forwards | backward backwards
        incoming inbound | outgoing outbound
        incoming income revenue | expense expenses outgoing
        profit profits | loss losses
        male man men boy boys | female woman women girl girls
        father | mother
        brother brothers | sister sisters
        son sons | daughter daughters
        husband | wife
        king | queen
        parent parents | child children
        full | empty
        wet | dry
        early earlier earliest | late later
        temporary temporarily | permanent permanently
        automatic automatically | manual manually
        optional | required mandatory compulsory
        single | multiple
        same equal identical | different
        always | never
        all every | none
        summer | winter
        day daytime | night nighttime
        morning | evening
        online | offline
        import imports | export exports
        supply | demand
        debit | credit
        lender | borrower
        employer employers | employee employees
        singular | plural
        even | odd
        synchronous sync | asynchronous async
        mutable | immutable
        static | dynamic
        maximum upper | minimum lower
        gross | net
        domestic national | international foreign abroad
        ancient | modern
        major | minor
        primary | secondary
        sender | recipient receiver
        landlord | tenant
        safe safely | dangerous
        alive | dead
        acute | chronic
        legal | illegal
        source | target destination
        sunrise | sunset
        birth born | death died
        marry married marriage | divorce divorced
        hire hired hiring | fire fired firing dismiss
        pass passed | fail failed
        love like | hate dislike
        push pushed | pull pulled
        mount | unmount
        freeze frozen freezing | unfreeze thaw
        bind | unbind
        pin | unpin
        check select | uncheck deselect unselect
        undo | redo
        zoom-in | zoom-out
        wrap | unwrap
        pack | unpack
        tie | untie
        plug | unplug
        inflate inflation | deflate deflation
        accelerate | decelerate brake
        ascend climb | descend
        attach | detach
        assemble | disassemble
        mother | child
        minimum | average
        maximum | average
    """),
)
