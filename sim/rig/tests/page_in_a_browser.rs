//! The page of a run, opened in a browser: it complains about nothing, fetches nothing, a message can be followed, and it is readable on a
//! wide window and on a phone, by day and by night.
//!
//! What must always hold: the page is of a real run with a cut, so that there is a wait to be explained; whatever the page offers is clicked or pressed.

#![allow(clippy::unwrap_used)]

mod browser;

use browser::Page;
use serde_json::json;
use sim::page::{Judged, Summary, Table, page};
use sim::run::{Options, run};
use sim::scenario::Scenario;
use sim::script::draw;

const CUT: &str = include_str!("../../tests/a-short-cut.toml");

/// A page with everything on it that a page may have.
fn a_page() -> String {
    let scenario = Scenario::parse("a-short-cut.toml", CUT).unwrap();
    let outcome = run(&draw(&scenario, 1), Options { recorded: true, ..Options::default() });
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let summary = Summary {
        kind: "Archipelago simulator".to_owned(),
        title: scenario.name.clone(),
        story: scenario.story.clone(),
        seed: 1,
        good: true,
        verdict: "Every promise was kept".to_owned(),
        judged: vec![Judged { what: "nothing acknowledged is lost".to_owned(), broken: 0, checked: 7 }],
        findings: vec![],
        tables: vec![Table {
            caption: "What users saw".to_owned(),
            columns: words(&["", "half", "99 of 100", "999 of 1000", "longest"]),
            rows: vec![words(&[
                "until it was shown in another region",
                "45.2 ms",
                "29.12 s",
                "29.80 s",
                "30.01 s",
            ])],
        }],
        drawn: outcome.drawn.clone().into_iter().collect(),
        commands: vec![(
            "The same run".to_owned(),
            "archipelago sim replay a-short-cut.toml --seed 1".to_owned(),
        )],
    };
    page(&outcome.recording.unwrap(), &summary)
}

/// The lowest contrast of words with what is behind them (WCAG 2.1, 1.4.3), of the first of each kind.
const CONTRAST: &str = r#"(() => {
  const light = text => {
    const [r, g, b] = text.match(/[\d.]+/g).map(Number).map(n => n / 255).map(n => n <= .03928 ? n / 12.92 : ((n + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c) && c !== "transparent") return c; } };
  const of = e => { const [a, b] = [light(getComputedStyle(e).color), light(behind(e))]; return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); };
  return Math.min(...["h1", "p", ".quiet", ".verdict", "nav a", ".why", ".late", "button", "label", "code", "th", "small", "dt"].map(s => of(document.querySelector(s))));
})()"#;

#[tokio::test]
async fn a_page_is_readable_and_a_message_can_be_followed() {
    let Some(browser) = browser::find() else {
        eprintln!("NOT LOOKED AT: there is no browser on this machine");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, a_page()).unwrap();
    let url = format!("file://{}", file.display());
    let mut page = Page::open(browser).await;
    for (width, height) in [(1_280, 900), (390, 844)] {
        page.set_width(width, height).await;
        page.go_to(&url).await;
        is_laid_out(&mut page, width).await;
        follows_a_message(&mut page).await;
        is_zoomed_and_moved(&mut page).await;
        is_laid_out(&mut page, width).await;
        for scheme in ["dark", "light"] {
            page.set_scheme(scheme).await;
            let contrast = page.tell(CONTRAST).await.as_f64().unwrap();
            assert!(contrast >= 4.5, "{scheme}: contrast {contrast}");
        }
    }
    assert_eq!(page.complaints, Vec::<String>::new());
    let elsewhere: Vec<&String> =
        page.fetched.iter().filter(|fetched| **fetched != url && !fetched.starts_with("data:")).collect();
    assert!(page.fetched.contains(&url) && elsewhere.is_empty(), "fetched {elsewhere:?}");
}

async fn is_laid_out(page: &mut Page, width: u64) {
    let overflow = page.tell("document.documentElement.scrollWidth").await.as_u64().unwrap();
    assert!(overflow <= width, "{overflow} wide in a window of {width}");
    let drawn = page.tell("document.querySelectorAll('#diagram .way').length").await.as_u64().unwrap();
    assert!(drawn >= 20, "{drawn} messages in the picture");
    let upright = page.tell("document.querySelector('#diagram svg').clientHeight > innerWidth").await;
    assert_eq!(upright, json!(width < 500), "time runs downwards on a phone alone");
    assert_eq!(page.tell("document.querySelectorAll('#charts svg').length").await, json!(3));
    let small = "[...document.querySelectorAll('button, select')].filter(e => e.clientHeight > 0 && e.clientHeight < 30).length";
    assert_eq!(page.tell(small).await, json!(0), "buttons that fingers miss");
}

async fn follows_a_message(page: &mut Page) {
    page.click("#messages li:nth-child(2) button").await;
    let chosen = "document.querySelector('#messages li:nth-child(2) button').getAttribute('aria-current')";
    assert_eq!(page.tell(chosen).await, json!("true"));
    let steps =
        page.tell("[...document.querySelectorAll('#steps [data-step]')].map(e => e.dataset.step)").await;
    for step in ["posted", "taken", "acknowledged", "left", "applied", "shown", "delivered", "stable"] {
        assert!(steps.as_array().unwrap().contains(&json!(step)), "{step} is not among {steps}");
    }
    let said = page.tell("document.querySelector('.followed').innerText").await;
    let said = said.as_str().unwrap();
    assert!(said.contains("acknowledged after") && said.contains("virginia: cut off until"), "{said}");
    assert!(page.tell("document.querySelectorAll('#journey circle').length").await.as_u64().unwrap() >= 6);
    assert!(page.tell("document.querySelectorAll('#diagram .on').length").await.as_u64().unwrap() >= 1);
}

async fn is_zoomed_and_moved(page: &mut Page) {
    let window = "document.querySelector('#window').textContent";
    page.click("#all").await;
    let whole = page.tell(window).await;
    page.tell("document.querySelector('#diagram').focus()").await;
    page.press("+").await;
    let closer = page.tell(window).await;
    page.press("ArrowLeft").await;
    let earlier = page.tell(window).await;
    assert!(closer != whole && earlier != closer, "{whole} {closer} {earlier}");
    let before = page.tell("location.hash").await;
    page.press("n").await;
    assert_ne!(page.tell("location.hash").await, before, "the next message");
    page.press("0").await;
    assert_eq!(page.tell(window).await, whole);
    // What is chosen with a click on its line is what the line belongs to.
    page.press("Escape").await;
    assert_eq!(page.tell("document.querySelectorAll('#steps tr').length").await, json!(0));
    page.click("#messages li:nth-child(1) button").await;
    assert!(page.tell("document.querySelectorAll('#steps tr').length").await.as_u64().unwrap() > 5);
    page.click("#all").await;
}
