"""A figure in prose is one that a committed result holds."""

import itertools
import json
import re

import pytest

from casestudy.audit import audit, current
from casestudy.studies import STUDIES
from SCRIPTS.articles import figures, record_results, record_studies, values
from SCRIPTS.articles.writing import replaced
from SCRIPTS.benchmark import coverage
from SCRIPTS.release.environment import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "ARTICLES" / "results.json").read_text(encoding="utf-8"))


def test_the_readme_shows_the_committed_scores():
    begin, end = record_results.BEGIN, record_results.END
    assert replaced(README, record_results.table(RESULTS), begin, end) == README


STUDIES_PAGE = record_studies.ARTICLE.read_text(encoding="utf-8")


def test_the_article_on_the_studies_begins_with_all_committed_ones():
    results = record_studies.load()
    assert results
    begin, end = record_studies.BEGIN, record_studies.END
    assert replaced(STUDIES_PAGE, record_studies.table(results), begin, end) == STUDIES_PAGE
    assert STUDIES_PAGE.index(end) < STUDIES_PAGE.index("<!-- study ")


def studies_prose(study) -> str:
    """Returns what the article says of a study, without its generated block."""
    begin, end = record_studies.marks(study.name)
    before, rest = STUDIES_PAGE.split(begin)
    return plain(before.split("\n## ")[-1] + rest.split(end)[1].split("\n## ")[0])


def test_the_article_on_the_studies_shows_the_committed_results():
    results = record_studies.load()
    assert record_studies.filled(STUDIES_PAGE, results) == STUDIES_PAGE
    measured = {result["study"]["name"] for result in results}
    for name in set(STUDIES) - {"asl"}:
        begin, end = record_studies.marks(name)
        shown = STUDIES_PAGE.split(begin)[1].split(end)[0]
        assert (record_studies.UNMEASURED in shown) == (name not in measured)


def test_a_study_measured_for_the_first_time_gets_its_table():
    result = {**record_studies.load()[0], "study": STUDIES["emnist"].to_json(), "comparison": []}
    result["scores"] = [
        {"name": "headline", "accuracy": 0.9},
        {"name": "custom-cnn-distorted", "accuracy": 0.75},
        {"name": "custom-cnn-distorted-unique", "accuracy": 0.7},
    ]
    lines = record_studies.filled(STUDIES_PAGE, [result]).split(record_studies.marks("emnist")[0])[1].splitlines()
    epochs = sum(phase.epochs for phase in STUDIES["emnist"].phases)
    assert f"| ours | clean | – | – | 90.0 % | – | {epochs} | – |  |" in lines
    (line,) = (line for line in lines if line.startswith("| custom-cnn | distorted |"))
    assert line.startswith(
        "| custom-cnn | distorted | 75.2 % | not measured yet with the exact network | – | 70.0 % | – |"
    )


@pytest.mark.parametrize("name", sorted(set(STUDIES) - {"asl"}))
def test_a_number_in_the_article_on_the_studies_is_the_studys(name):
    study = STUDIES[name]
    known = {str(len(study.data.class_names)), "255"}  # the largest value of a pixel
    for text in (json.dumps(study.to_json()), *(variant.note for variant in study.variants)):
        known |= set(re.findall(r"\d+(?:\.\d+)?", text))
    assert set(re.findall(r"(?<![\w.])\d+(?:[.,]\d+)*", studies_prose(study))) <= known


def test_what_the_article_on_the_studies_says_in_words_holds():
    """Where one of these fails, a study or its result has changed: read the article again, and mend the sentences."""
    fashion, emnist = STUDIES["fashion-mnist"], STUDIES["emnist"]
    assert len(fashion.variants) == 5
    assert {variant.phases[0].optimizer for variant in fashion.variants} == {"rmsprop", "adam"}
    assert {variant.split.validation for variant in fashion.variants} == {0.2}
    assert {len(variant.model.options.get("filters", "ab")) for variant in fashion.variants} == {2, 3}
    assert len(emnist.variants) == 6 and emnist.model.augmentation and emnist.model.name == "compact_cnn"
    assert not STUDIES["dense-baseline"].model.augmentation.get("mirror")
    results = {result["study"]["name"]: result for result in record_studies.load()}
    for name in ("fashion-mnist", "licence-plates"):
        result = results[name]
        scores = {score["name"]: score["accuracy"] for score in result["scores"]}
        assert result["copies"] > 0
        assert abs(scores["headline-unique"] - scores["headline"]) < 0.005  # next to nothing
    own = results["fashion-mnist"]["comparison"][-1]
    assert own["name"] == "ours" and own["parameters"] < 500_000
    plates = results["licence-plates"]
    by_name = {row["name"]: row for row in plates["comparison"]}
    assert {row["parameters"] for row in plates["comparison"]} == {166_436, 167_332}
    assert by_name["ours"]["rank"] == by_name["eighty-twenty"]["rank"] < by_name["twenty-eighty"]["rank"]
    held_out = {
        variant.name: variant.split.validation for variant in STUDIES["licence-plates"].variants if variant.split
    }
    assert held_out == {"twenty-eighty": 0.8, "eighty-twenty": 0.2}
    assert 0.4 < 100 / plates["parts"]["test"] < 0.6
    assert "validation" not in plates["parts"]
    dense = results["dense-baseline"]
    assert "random" in dense["variant_weights"]["mobilenet-v2"]
    assert "signs" in dense["variant_weights"]["resnet50v2"] and "signs" in dense["weights"]


def test_a_network_that_is_another_by_now_has_no_figure():
    """A result of before is read; the rows of its networks go, and so do the ranks among them."""
    result = next(one for one in record_studies.load() if one["study"]["name"] == "licence-plates")
    earlier = json.loads(json.dumps(result))
    variants = earlier["study"]["variants"]
    next(one for one in variants if one["name"] == "batch-norm")["model"]["options"] = {}
    next(one for one in variants if one["name"] == "eighty-twenty")["split"]["seed"] = 14
    next(one for one in variants if one["name"] == "twenty-eighty")["phases"][0]["epochs"] = 3  # asked for: no other
    left = current(earlier)
    assert [row["name"] for row in left["comparison"]] == ["twenty-eighty", "ours"]
    assert {row["rank"] for row in left["comparison"]} == {None}
    names = {score["name"] for score in left["scores"]}
    assert names == {"headline", "headline-unique", "twenty-eighty", "twenty-eighty-unique"}
    assert current(result) == result
    assert (
        "| batch-norm | clean | – | not measured yet with the exact network | – | – | – | – |"
        in record_studies.block(left)
    )


def test_the_case_s_recipe_shows_its_score_on_a_random_split_beside_the_honest_one():
    """A result as `asl-original` leaves one: another study's figures under its name."""
    dense = next(one for one in record_studies.load() if one["study"]["name"] == "dense-baseline")
    headline = dense["scores"][0]
    scores = [{**headline, "accuracy": 0.4}, {**headline, "name": "random", "protocol": "random", "accuracy": 0.987}]
    made = {
        **dense,
        "study": STUDIES["asl-original"].to_json(),
        "scores": scores,
        "comparison": dense["comparison"][-1:],
    }
    page = record_studies.block(made)
    assert "| ours | clean | – | – | 40.0 % |" in page
    assert "\n- On a random split, the same people on both sides: 98.7 %.\n" in page
    assert "random split" not in record_studies.block(dense)


def test_the_article_on_the_audit_shows_what_the_command_finds():
    page = record_studies.AUDIT.read_text(encoding="utf-8")
    assert replaced(page, record_studies.audit_table(audit()), *record_studies.AUDIT_MARKS) == page
    assert len(re.sub(r"^\|.*", "", page, flags=re.M).split()) <= 1200
    assert page.count("\n| ") == 1 + len(audit())


def test_the_committed_studies_are_whole():
    for result in record_studies.load():
        assert result["study"]["name"] in STUDIES
        for score in result["scores"]:
            right = score["accuracy"] * score["images"]
            assert abs(right - round(right)) < 1e-6
        own = {score["name"]: score for score in result["scores"]}["headline"]
        assert result["comparison"][-1]["accuracy"] == own["accuracy"]
        assert result["environment"]["tensorflow"]


def test_the_committed_scores_are_whole():
    for name, result in RESULTS.items():
        for score in result["scores"]:
            right = score["accuracy"] * score["images"]
            assert abs(right - round(right)) < 1e-6, f"{name}: {score['name']} is no share of {score['images']}"
            low, high = score["interval"]
            assert low <= score["accuracy"] <= high if low is not None else score["interval_method"] == "none: 2 people"
        headline = result["scores"][0]
        pooled = sum(row["accuracy"] * row["support"] for row in result["per_signer"]) / headline["images"]
        assert abs(pooled - headline["accuracy"]) < 1e-9


def test_accuracies_elsewhere_in_the_readme_are_committed_ones():
    """And on the pages that it sends its reader to for more of the same."""
    known = {f"{100 * score['accuracy']:.1f}" for result in RESULTS.values() for score in result["scores"]}
    outside = README.split(record_results.BEGIN)[0] + README.split(record_results.END)[1]
    outside += "".join(
        (ROOT / "ARTICLES" / f"{name}.md").read_text(encoding="utf-8") for name in ("commands", "promises")
    )
    claimed = set(re.findall(r"(\d+\.\d) %", outside))
    assert claimed <= known, f"no committed run scored {sorted(claimed - known)}"


PAGES = values.PAGES
ARTICLES = [path for path in PAGES if path.parent.name == "ARTICLES"]
FACTS = json.loads((ROOT / "ARTICLES" / "articles.json").read_text(encoding="utf-8"))
IDENTIFIER = r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,}/\S+"


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def plain(page: str) -> str:
    """Returns the prose of a page without its sources: no marked values, no code, no targets of links, no markup."""
    text = values.MARK.sub("VALUE", page.split("## Sources")[0])
    text = re.sub(r"```.*?```|`[^`\n]*`", "CODE", text, flags=re.S)
    return re.sub(r"\]\([^)]*\)", "]", text)


@by_name(values.FILLED)
def test_no_line_begins_with_a_mark(path):
    """Markdown takes such a line for HTML of its own, and breaks the paragraph there."""
    assert not re.findall(r"^<!--=.*", path.read_text(encoding="utf-8"), re.M)


@by_name(values.FILLED)
def test_the_marked_values_are_the_committed_ones(path):
    page = path.read_text(encoding="utf-8")
    assert values.filled(page, values.values()) == page
    assert page.count("<!--=") == page.count("<!--/-->") == len(values.MARK.findall(page)) > 0


@by_name(PAGES)
def test_no_measured_figure_stands_unmarked(path):
    text = plain(path.read_text(encoding="utf-8"))
    assert re.findall(r"(?<![-\w.])\d+\.\d+", text) == []
    assert set(re.findall(r"\d+ ?%", text)) <= {"95 %"}


def test_the_article_on_leakage_shows_every_way_of_the_simulation():
    """A row for each number of people and for each way, by hand: what a cell is about, from the committed rows."""
    page = (ROOT / "ARTICLES" / "03_leakage.md").read_text(encoding="utf-8")
    rows = [row for row in coverage.load() if row["kind"] == "share" and row["way"] == "chosen"]

    def ends(**facts):
        held = [100 * row["held"] for row in rows if facts.items() <= row.items()]
        assert len(held) == 3
        return f"{min(held):.1f}–{max(held):.1f}"

    for people in (3, 5, 7, 9, 20):
        spreads = itertools.product(("equal", "unequal"), ("small", "medium", "large"))
        cells = [ends(people=people, counts=counts, spread=spread) for counts, spread in spreads]
        line = next(line for line in page.splitlines() if line.startswith(f"| {people} |"))
        assert re.sub(r"<!--.*?-->", "", line).split(" | ")[1:7] == cells
    assert page.count("coverage.way.") == page.count("coverage.width.") == len(coverage.WAYS)


@by_name(PAGES)
def test_every_source_can_be_found(path):
    page = path.read_text(encoding="utf-8")
    sources = re.split(r"\n- ", page.split("## Sources\n")[1])[1:]
    assert len(sources) >= 2
    for source in sources:
        assert len(re.findall(IDENTIFIER, source)) == 1, source
        assert re.search(r"\((1[89]|20)\d\d\)", source), source
        author = re.match(r"[^\W\d]+", source)[0]
        assert author in plain(page), f"{author} is not spoken of"


@by_name(ARTICLES)
def test_an_article_is_short_and_has_one_figure(path):
    page = path.read_text(encoding="utf-8")
    assert 600 <= len(re.sub(r"^\|.*", "", plain(page), flags=re.M).split()) <= 1200  # a table is looked up, not read
    figures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert figures == [f"figures/{path.stem}.png"]
    assert 5_000 < (path.parent / figures[0]).stat().st_size <= 150_000
    for link in re.findall(r"(?<!!)\[[^\]]+\]\(([^)#]+)\)", page):
        assert (path.parent / link).exists(), link


def test_there_are_six_articles_and_a_page_to_begin_with():
    assert [path.stem for path in ARTICLES] == list(figures.FIGURES)
    assert PAGES[0].name == "hook_document.md" and len(plain(PAGES[0].read_text(encoding="utf-8")).split()) <= 700


def test_the_articles_run_is_the_recorded_one():
    run = FACTS["run"]
    if run["key"] in RESULTS:
        assert run["scores"] == RESULTS[run["key"]]["scores"]
    counts = sum(sum(row) for row in run["confusion"])
    assert counts == run["scores"][0]["images"] == sum(row["support"] for row in run["per_label"])


def test_what_the_articles_say_in_words_holds():
    """Where one of these fails, a new result has come: read the articles again, and mend the sentences."""
    sample, real = (
        {score["name"]: score["accuracy"] for score in RESULTS[key]["scores"]} for key in (values.SAMPLE, values.REAL)
    )
    assert sample["head-random"] > sample["head"]
    assert min(real["head-random"], real["headline"]) > real["head"]
    walk = FACTS["statistics"]["accuracy"]
    assert walk[0] > walk[-3] > walk[-2] > walk[-1] and FACTS["statistics"]["new_head"] > walk[-2]
    seeds = FACTS["seeds"]
    spread = {name: max(seeds[name]) - min(seeds[name]) for name in ("training", "signers", "random")}
    assert seeds["again_differs_by"] == 0
    assert spread["signers"] > spread["training"] and spread["signers"] > spread["random"]
    assert min(seeds["random"]) > max(seeds["signers"])
    assert FACTS["run"]["batch_norm_change"] == 0


def test_the_studies_reach_their_marks():
    """What each study's own model was asked for, in the committed results."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "DATA/results").glob("*.json")}

    def row(study: str, name: str) -> dict:
        return next(row for row in found[study]["comparison"] if row["name"] == name)

    def score(study: str, name: str) -> dict:
        return next(score for score in found[study]["scores"] if score["name"] == name)

    fashion = row("fashion-mnist", "ours")
    assert fashion["accuracy"] >= 0.94
    assert fashion["parameters"] <= 500_000
    assert sum(phase["epochs"] for phase in found["fashion-mnist"]["study"]["phases"]) <= 10
    assert score("licence-plates", "headline-unique")["accuracy"] >= 0.99
    assert row("emnist", "ours")["parameters"] <= 500_000
