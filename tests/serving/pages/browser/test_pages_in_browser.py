"""The pages as people meet them: a real endpoint, a real Chromium, the keyboard, a phone's width, axe."""

import json
import re
from typing import Any

from playwright.sync_api import expect

from serving.auth.key_record import KeyScope
from serving.pages import LANGUAGES
from tests.serving.pages.browser.conftest import KEYS, give, opened
from tests.serving.park import photo, version_files
from tests.serving.process import Registry, running
from tests.serving.test_abstention import abstaining

expect.set_options(timeout=30_000)  # patience for busy machines


def test_a_chosen_photo_gets_label_probabilities_heat_map_version_and_certificate(page):
    page.goto("/")
    give(page, photo("red"))
    expect(page.locator(".answer")).to_contain_text(re.compile(r"^cat, \d+(\.\d)?%$"))
    expect(page.locator(".scores li")).to_have_count(2)
    expect(page.locator("#answer")).to_contain_text("Answered by version 2")
    expect(page.locator("#heat")).to_be_visible()
    expect(page.locator("#model")).to_contain_text("signed by somebody, until")
    page.get_by_role("button", name="Heat map").press("Enter")
    expect(page.locator("#heat")).to_be_hidden()


def test_a_dropped_photo_and_a_pasted_one_are_classified(page):
    page.goto("/")
    hand_over = """([kind, bytes]) => {
      const files = new DataTransfer();
      files.items.add(new File([new Uint8Array(bytes)], "pet.jpg", { type: "image/jpeg" }));
      const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: files, bubbles: true })
        : new ClipboardEvent("paste", { clipboardData: files, bubbles: true });
      document.getElementById("drop").dispatchEvent(event);
    }"""
    for kind, colour, label in (("drop", "blue", "dog"), ("paste", "red", "cat")):
        page.evaluate(hand_over, [kind, list(photo(colour))])
        expect(page.locator(".answer")).to_contain_text(label)


def test_neither_and_doubt_are_said_in_every_language(browser, cloud, tmp_path):
    """Strangeness is what is not red, of 0.5 at the most, and every probability is enough."""
    change = abstaining(limit=0.5, thresholds=0.0)

    def files(directory, **options):
        made = version_files(directory, **options)
        change(made)
        return made

    message = {
        "en-GB": ("cat or dog?", "None of the classes"),
        "es-ES": ("¿cat o dog?", "Ninguna de las clases"),
        "ca-ES": ("cat o dog?", "Cap de les classes"),
    }
    assert {locale[:2] for locale in message} == set(LANGUAGES)
    registry = Registry(cloud, tmp_path, files)
    registry.release(4.0)
    with running(cloud, registry) as process:
        process.wait_for("version active", version=1)
        for locale, (doubt, neither) in message.items():
            with opened(browser, process, locale=locale) as context:
                page = context.new_page()
                page.goto("/")
                give(page, photo("red"))
                expect(page.locator(".answer")).to_have_text(doubt)
                give(page, photo("blue"))
                expect(page.locator(".answer")).to_have_text(neither)
                expect(page.locator(".scores li")).to_have_count(2)


def test_what_is_no_photo_is_said_in_plain_words(page):
    page.goto("/")
    give(page, b"no photo at all")
    expect(page.locator("#answer")).to_contain_text("The photo cannot be decoded; the file may be damaged.")
    expect(page.locator("#answer .detail")).to_have_attribute("lang", "en")
    give(page, b"%PDF", "pet.pdf", "application/pdf")
    expect(page.locator("#answer")).to_contain_text("not a JPEG, PNG or WebP photo")


def test_a_failure_of_the_endpoint_is_told(page):
    problem = {"type": "/docs#internal", "detail": "the log has it under 7"}
    failures = iter([lambda route: route.abort(), lambda route: route.fulfill(status=503, json=problem)])
    page.route("**/v1/classify*", lambda route: next(failures)(route))
    page.goto("/")
    give(page, photo("red"))
    expect(page.locator("#answer .alarm")).to_contain_text("The endpoint does not respond")
    give(page, photo("red"))
    expect(page.locator("#answer .alarm")).to_contain_text(
        "Internal error. See the endpoint’s log. the log has it under 7"
    )


def test_a_photo_chosen_before_the_script_runs_is_classified(page):
    held = []
    page.route("**/pages/common.js", lambda route: held.append(route))
    page.goto("/", wait_until="commit")
    give(page, photo("red"))
    while not held:  # a busy browser takes the photo before it asks for the script
        page.wait_for_timeout(20)
    held.pop().continue_()
    expect(page.locator(".answer")).to_contain_text("cat, ")


def test_a_page_whose_kept_language_cannot_be_had_speaks_the_one_it_came_in(page):
    unreachable = False
    page.route("**/pages/texts/*", lambda route: route.abort() if unreachable else route.continue_())
    page.goto("/")
    page.evaluate("localStorage.setItem('petpark-language', 'es')")
    unreachable = True
    page.reload()
    give(page, photo("red"))
    expect(page.locator("#answer")).to_contain_text("Answered by version 2")
    expect(page.get_by_label("Language")).to_have_value("en")
    page.get_by_label("Language").select_option("ca")
    expect(page.get_by_label("Language")).to_have_value("en")
    unreachable = False
    page.get_by_label("Language").select_option("ca")
    expect(page.locator("#answer")).to_contain_text("Ha respost la versió 2")


def test_the_language_is_the_browsers_until_another_is_chosen_and_that_is_kept(browser, endpoint):
    with opened(browser, endpoint, locale="es-ES") as context:
        page = context.new_page()
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("¿Qué hay en esta foto?")
        give(page, photo("red"))
        expect(page.locator("#answer")).to_contain_text("Ha respondido la versión 2")
        page.get_by_label("Idioma").select_option("ca")
        expect(page.locator("#answer")).to_contain_text("Ha respost la versió 2")
        expect(page).to_have_title("Prova-ho · petpark")
        page.get_by_role("link", name="En directe").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Càmeres")
        expect(page.locator("html")).to_have_attribute("lang", "ca")


def test_cameras_show_frame_state_visits_and_latency_and_go_on_until_paused(page, agent):
    page.goto("/live")
    gate = page.locator(".camera-tile").first
    expect(gate).to_contain_text("gatelive")
    expect(gate.get_by_alt_text("Last frame of camera gate")).to_be_visible()
    assert gate.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 80
    expect(gate).to_contain_text("dog")
    expect(gate).to_contain_text("median 31 ms, 99th percentile 80 ms")
    expect(page.locator(".camera-tile").nth(1)).to_contain_text("no route to host")
    agent.visits = 4
    expect(gate.locator("dd").nth(1)).to_have_text("4")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#updated")).to_contain_text("Paused.")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_timeout(2500)
    assert requests == []


def test_without_an_agent_the_page_says_how_to_start_one(page):
    answer: dict[str, Any] = {"agents": []}
    page.route("**/v1/cameras", lambda route: route.fulfill(json=answer))
    page.goto("/live")
    expect(page.locator("#none")).to_contain_text("petpark camera run --source")
    answer = {"agents": [{"error": "it does not respond (ConnectionRefusedError).", "cameras": []}]}
    expect(page.locator("#cameras")).to_contain_text("Camera agent unreachable: it does not respond")


def test_models_show_channels_history_and_who_certified(page):
    page.goto("/models")
    channel = page.locator("section", has=page.get_by_role("heading", name="Channel prod"))
    expect(channel).to_contain_text("Version 2 active since")
    expect(channel.locator("tbody tr")).to_have_count(2)
    versions = page.locator("section", has=page.get_by_role("heading", name="Versions in these channels"))
    expect(versions.locator("tbody tr").first).to_contain_text("signed by somebody, until")


def test_where_keys_are_required_a_page_asks_for_one_and_remembers_it_in_its_tab(browser, cloud, registry, keys):
    settings = {"PETPARK_API_KEYS": "required", "PETPARK_API_KEYS_PREFIX": KEYS}
    with running(cloud, registry, **settings) as endpoint:
        endpoint.wait_for("version active")
        with opened(browser, endpoint) as context:
            page = context.new_page()
            page.goto("/models")
            expect(page.locator("#message")).to_contain_text("Valid API key required")
            expect(page.get_by_label("API key", exact=True)).to_be_focused()
            page.keyboard.type(keys[KeyScope.CLASSIFY])
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="Channel prod")).to_be_visible()
            expect(page.locator("#message")).to_be_hidden()
            expect(page.get_by_text("Rollback from this page is not set up")).to_be_visible()
            page.goto("/")
            give(page, photo("blue"))
            expect(page.locator(".answer")).to_contain_text("dog")


def test_an_operator_rolls_back_by_their_own_right_and_no_secret_stays(page, cloud, registry, keys, endpoint):
    iam = cloud.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName="promoter", AssumeRolePolicyDocument=json.dumps(trust))
    iam.create_user(UserName="otto")
    made = iam.create_access_key(UserName="otto")["AccessKey"]
    output = {"Version": 1, "AccessKeyId": made["AccessKeyId"], "SecretAccessKey": made["SecretAccessKey"]}
    page.goto("/models")
    page.get_by_role("button", name="Roll back …").click()
    expect(page.locator("#dialog-title")).to_have_text("Roll channel prod back from version 2 to version 1?")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("it barks at cats")
    page.get_by_label("API key with the scope admin").fill(keys[KeyScope.CLASSIFY])
    page.get_by_label("Temporary AWS credentials").fill("not what the command prints")
    confirm = page.get_by_role("button", name="Roll back to version 1")
    confirm.click()
    expect(page.locator("#dialog-message")).to_contain_text("These are not credentials.")
    page.get_by_label("Temporary AWS credentials").fill(json.dumps(output, indent=2))
    confirm.click()
    expect(page.locator("#dialog-message")).to_contain_text("this requires admin")
    page.get_by_label("API key with the scope admin").fill(keys[KeyScope.ADMIN])
    confirm.click()
    expect(page.locator("#done")).to_have_text("Channel prod is back at version 1 (entry 3).")
    head = registry.channel.head()
    assert head is not None
    assert (head.version, head.restores, head.why) == (1, 1, "it barks at cats")
    assert head.by == "arn:aws:sts::123456789012:assumed-role/promoter/otto"
    endpoint.wait_for("version active", version=1, entry=3)
    message = json.dumps(endpoint.lines)
    assert made["SecretAccessKey"] not in message
    assert made["AccessKeyId"] not in message
    assert keys[KeyScope.ADMIN] not in message
    assert page.locator("#credentials").input_value() == ""
    assert "admin-key" in message  # who did it, by the key's name
