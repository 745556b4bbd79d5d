"""The analyzer: which words find which."""

from __future__ import annotations

import threading

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ragweft.errors import RecipeError
from ragweft.lexical import Analyzer
from ragweft.lexical.analyzer import LONGEST_TERM
from ragweft.lexical.stopwords import stop_words

ENGLISH = Analyzer()


def finds(query: str, text: str, *, language: str = "english") -> bool:
    """Whether a lexical search for *query* would return *text*."""
    analyzer = Analyzer(language=language)
    return bool(analyzer.query_terms(query).keys() & set(analyzer.terms(text)))


def covers(query: str, text: str, *, language: str = "english") -> bool:
    """Whether *text* has every term of *query*, of which there is at least one."""
    analyzer = Analyzer(language=language)
    terms = analyzer.query_terms(query).keys()
    return bool(terms) and terms <= set(analyzer.terms(text))


class TestIdentifiers:
    def test_become_their_parts_and_themselves(self) -> None:
        plain = Analyzer(language="none")
        assert set(plain.terms("HTTPServer2.parse_requestLine")) == {
            *("http", "server", "2", "httpserver2"),
            *("parse", "request", "line", "parserequestline"),
        }

    @pytest.mark.parametrize("query", ["parseLine", "parse_line", "parse-line", "PARSE_LINE", "ParseLine"])
    @pytest.mark.parametrize("text", ["self.parseLine(x)", "def parse_line(", "--parse-line", "parse line"])
    def test_are_found_in_any_style(self, query: str, text: str) -> None:
        assert finds(query, text)

    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("github", "GitHub"),
            ("dataframes", "a DataFrame"),
            ("postgresql", "PostgreSQL"),
            ("email", "e-mail"),
            ("gpt4", "GPT-4"),
            ("utf8", "UTF-8"),
            ("covid19", "Covid‐19"),
            ("url", "URLs"),
            ("api", "the APIs of"),
            ("init", "__init__"),
            ("python", "python3"),
            ("file", "ﬁle"),
        ],
    )
    def test_joined_spellings_agree(self, query: str, text: str) -> None:
        assert finds(query, text)
        assert finds(text, query)

    def test_a_languages_sign_is_part_of_its_name(self) -> None:
        assert finds("C++", "written in c++17")
        assert finds("c#", "C# and F#")
        assert not finds("C++", "written in C and C#")

    def test_versions_are_found_whole_and_by_their_beginning(self) -> None:
        assert "3.11.2" in ENGLISH.terms("Python 3.11.2.")
        assert covers("3.11", "Python3.11, released")
        assert finds("python 3", "Python3.11")
        assert not covers("3.12", "Python 3.11")

    def test_parts_of_a_long_word_stand_for_it(self) -> None:
        name = "_".join(["chapter", "verse"] * 10)
        assert set(ENGLISH.terms(name)) == set(ENGLISH.terms("chapter verse"))

    def test_a_base64_run_is_no_term(self) -> None:
        run = "aB3dE5fG" * 25_000
        terms = ENGLISH.terms(run)
        assert terms
        assert max(map(len, terms)) <= 8

    def test_an_endless_word_is_known_by_its_beginning(self) -> None:
        assert ENGLISH.terms("acgt" * 1000) == ["acgt" * 16]
        assert max(map(len, ENGLISH.terms("3." + "14" * 1000))) == LONGEST_TERM
        assert max(map(len, ENGLISH.terms("ก" + "\u0e34" * 1000 + "ข"))) == LONGEST_TERM


class TestEnglish:
    @pytest.mark.parametrize(
        ("query", "text"),
        [("running", "runs"), ("Indexes", "INDEX"), ("connection", "connected"), ("don't stop", "stopping")],
    )
    def test_stems_agree(self, query: str, text: str) -> None:
        assert finds(query, text)

    def test_stop_words_are_no_terms(self) -> None:
        assert ENGLISH.terms("what is the state of it") == ENGLISH.terms("state")

    @pytest.mark.parametrize("query", ["the", "what is this", "isn't it?", "?!", ""])
    def test_a_query_of_stop_words_has_no_terms(self, query: str) -> None:
        assert ENGLISH.query_terms(query) == {}

    def test_capitals_make_a_stop_word_an_acronym(self) -> None:
        assert finds("WHO guidelines", "published by the WHO")
        assert finds("WHO", "published by the WHO")
        assert not finds("WHO", "who published it")
        assert not finds("WHAT IS IT ABOUT PARIS", "WHAT IT IS")

    def test_accents_are_optional(self) -> None:
        assert finds("resume", "résumé")
        assert finds("naïve café", "naive cafe")
        assert finds("Ångström", "angstrom")

    def test_a_repeated_word_counts(self) -> None:
        assert ENGLISH.query_terms("cats, cats and dogs") == {"cat": 2, "dog": 1}


class TestLanguages:
    @pytest.mark.parametrize(
        ("language", "query", "text"),
        [
            ("german", "Häuser", "das Haus"),
            ("german", "Strasse", "STRAẞE"),
            ("german", "Müller", "Mueller"),
            ("french", "élèves", "l'eleve"),
            ("spanish", "canciones", "canción"),
            ("swedish", "flickorna", "flicka"),
            ("turkish", "İstanbul", "istanbul"),
            ("english", "языка", "русский язык"),
            ("english", "Αθήνας", "ΑΘΗΝΑ"),
            ("english", "किताबें", "किताब"),
            ("english", "الكتاب", "كِتَاب"),
            ("english", "شلوم", "شَلُوم"),
            ("english", "שלום", "שָׁלוֹם"),
            ("english", "خواهم", "خواهم"),
            ("english", "میخواهم", "می‌خواهم"),
            ("english", "২০২৪", "2024"),
            ("english", "বাংলা", "বাংলা ভাষা"),
            ("english", "తెలుగు", "తెలుగు భాష"),
            ("english", "ｄａｔａ", "data"),
            ("russian", "databases", "один database"),
        ],
    )
    def test_forms_of_a_word_find_each_other(self, language: str, query: str, text: str) -> None:
        assert finds(query, text, language=language)
        assert finds(text, query, language=language)

    @pytest.mark.parametrize(
        ("word", "other"),
        [("किताब", "कुताब"), ("বাংলা", "বংলা"), ("తెలుగు", "తలగ"), ("กิน", "กัน"), ("ကို", "ကူ")],
    )
    def test_vowel_signs_tell_words_apart(self, word: str, other: str) -> None:
        assert not finds(word, other)

    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("北京", "我爱北京天安门"),
            ("データ", "大きなデータベースを使う"),
            ("東京", "東京都に住んでいます"),
            ("한국", "한국어를 배우다"),
            ("ภาษา", "ฉันเรียนภาษาไทย"),
            ("ພາສາ", "ຂ້ອຍຮຽນພາສາລາວ"),
            ("ភាសា", "ខ្ញុំរៀនភាសាខ្មែរ"),
            ("မြန်မာ", "ကျွန်တော်မြန်မာစာ"),
            ("第三章", "请看第三章"),
        ],
    )
    def test_words_are_found_without_spaces(self, query: str, text: str) -> None:
        assert covers(query, text)
        assert not covers(query, text[::-1])

    def test_one_han_character_is_found_inside_a_run(self) -> None:
        assert covers("猫", "黑猫在睡觉")
        assert covers("第3章", "请看第3章")

    def test_korean_words_count_whole_too(self) -> None:
        assert set(ENGLISH.terms("한국어")) == {"한국어", "한국", "국어"}

    def test_a_query_of_several_han_characters_looks_for_pairs_only(self) -> None:
        assert ENGLISH.query_terms("天安门") == {"天安": 1, "安门": 1}

    def test_none_keeps_every_word_as_it_is(self) -> None:
        assert Analyzer(language="none").terms("the Running языка") == ["the", "running", "языка"]

    def test_an_unknown_language_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(RecipeError, match=r"klingon.*english"):
            Analyzer(language="klingon")

    def test_fingerprints_tell_languages_apart(self) -> None:
        assert Analyzer().fingerprint == ENGLISH.fingerprint
        assert Analyzer(language="german").fingerprint != ENGLISH.fingerprint

    @pytest.mark.parametrize("language", ["english", "german", "french", "russian", "spanish"])
    def test_stop_words_are_written_as_the_analyzer_meets_them(self, language: str) -> None:
        analyzer = Analyzer(language=language)
        assert all(analyzer.terms(word) == [] for word in stop_words(language))


class TestInvariants:
    @given(st.text(max_size=300))
    def test_any_text_has_clean_terms(self, text: str) -> None:
        terms = ENGLISH.terms(text)
        for term in (*terms, *ENGLISH.query_terms(text)):
            assert 0 < len(term) <= LONGEST_TERM
            assert term.split() == [term]
        assert Analyzer().terms(text) == terms

    @given(st.text(max_size=80), st.data())
    def test_a_text_is_found_by_its_own_words(self, text: str, data: st.DataObject) -> None:
        assume(text.split())
        word = data.draw(st.sampled_from(text.split()))
        terms = ENGLISH.query_terms(word).keys()
        assert not terms or terms & set(ENGLISH.terms(text))

    @given(st.text(alphabet="aB_-.9 ı猫ทอ한ßé̈И", max_size=40))
    def test_query_terms_are_terms_of_the_same_text(self, text: str) -> None:
        assume(not text.isupper())
        assert ENGLISH.query_terms(text).keys() <= set(ENGLISH.terms(text))

    def test_surrogates_and_marks_alone_are_no_words(self) -> None:
        assert ENGLISH.terms("\ud800 \u0301 \u200d ❤️ 👩‍🚀 …") == []

    def test_threads_agree(self) -> None:
        analyzer = Analyzer()
        words = [f"running{number} stemming{number}s wordings{'x' * (number % 9)}" for number in range(3000)]
        expected = [ENGLISH.terms(word) for word in words]
        found: list[list[list[str]]] = []

        def work() -> None:
            found.append([analyzer.terms(word) for word in words])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 4

    def test_forgetting_words_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ragweft.lexical.analyzer._REMEMBERED_WORDS", 3)
        forgetful, text = Analyzer(), "one two three four five running over and over one two"
        assert forgetful.terms(text) * 2 == ENGLISH.terms(text) + forgetful.terms(text)
