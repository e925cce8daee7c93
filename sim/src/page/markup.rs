//! The page's text: everything that stands there without a script.
//!
//! What must always hold: every name goes through `escape`; headings go down one level at a time; every picture has its text beside it.

use super::data::data;
use super::recording::{Fault, Place, Recording, Spread};
use super::summary::{Summary, Table};
use super::words::{count, escape, moment, span};
use crate::limits::FAULTS_LISTED_MAX;
use std::fmt::{Result, Write};

const STYLE: &str = include_str!("page.css");
const SCRIPTS: [&str; 4] = [
    include_str!("drawing.js"),
    include_str!("diagram.js"),
    include_str!("message.js"),
    include_str!("intervals.js"),
];

/// Writes the page.
pub(super) fn write(out: &mut String, recording: &Recording, summary: &Summary) -> Result {
    write_head(out, recording, summary)?;
    write_diagram(out, recording)?;
    write_message(out, recording)?;
    write_intervals(out, recording)?;
    write_verdicts(out, summary)?;
    write_tables(out, &summary.tables)?;
    write_again(out, summary)?;
    writeln!(
        out,
        "</main>\n<script type=\"application/json\" id=\"data\">{}</script>",
        data(recording, summary)
    )?;
    writeln!(out, "<script>(() => {{\n\"use strict\";")?;
    for script in SCRIPTS {
        out.push_str(script);
    }
    out.push_str("})();</script>\n</body></html>\n");
    Ok(())
}

fn write_head(out: &mut String, recording: &Recording, summary: &Summary) -> Result {
    let (title, kind) = (escape(&summary.title), escape(&summary.kind));
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}, seed {} · {kind}</title>\n<style>\n{STYLE}</style></head>\n<body>",
        summary.seed
    )?;
    let (class, mark) = if summary.good { ("good", "✓") } else { ("bad", "✗") };
    writeln!(
        out,
        "<header><p class=\"kind\">{kind}</p><h1>{title}</h1>\n\
         <p class=\"verdict {class}\"><span aria-hidden=\"true\">{mark}</span> {}</p>",
        escape(&summary.verdict)
    )?;
    if !summary.story.is_empty() {
        writeln!(out, "<p class=\"story\">{}</p>", escape(&summary.story))?;
    }
    let facts = [
        ("seed", summary.seed.to_string()),
        ("simulated", span(recording.length_us)),
        ("regions", count(recording.regions.len() as u64)),
        ("devices", count(recording.devices.len() as u64)),
        ("messages", count(recording.messages_in_all)),
        ("faults", count(recording.faults_in_all)),
    ];
    writeln!(out, "<dl class=\"facts\">")?;
    for (name, value) in facts {
        writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
    }
    let none = summary.commands.is_empty() && summary.drawn.is_empty();
    let again = if none { "" } else { " <a href=\"#again\">Run it again</a>" };
    writeln!(
        out,
        "</dl></header>\n<nav aria-label=\"On this page\"><a href=\"#picture\">Picture</a> <a href=\"#message\">One message</a> \
         <a href=\"#time\">Over time</a> <a href=\"#verdicts\">Verdicts</a> <a href=\"#figures\">Figures</a>{again}</nav>\n<main>\n\
         <noscript><p>The pictures are drawn by a script. All verdicts, faults and figures stand here without it.</p></noscript>"
    )
}

fn write_diagram(out: &mut String, recording: &Recording) -> Result {
    writeln!(
        out,
        "<section id=\"picture\"><h2>Regions and links over time</h2>\n\
         <p>Each region is a line in time; each message is a line, in the colour of the region that took it, \
         to each region that applied it. The longer a line runs, the longer the message was under way.</p>"
    )?;
    write_sample(out, recording)?;
    writeln!(
        out,
        "<div class=\"tools script\"><button type=\"button\" id=\"in\" aria-label=\"Zoom in\">+</button>\
         <button type=\"button\" id=\"out\" aria-label=\"Zoom out\">−</button>\
         <button type=\"button\" id=\"back\" aria-label=\"Earlier\">‹</button>\
         <button type=\"button\" id=\"forth\" aria-label=\"Later\">›</button>\
         <button type=\"button\" id=\"all\">Whole run</button>\
         <span id=\"window\" class=\"quiet\"></span></div>\n\
         <div id=\"diagram\" class=\"script\" tabindex=\"0\" role=\"group\" aria-label=\"Space-time diagram of the run. The same stands below as \
         lists of faults and messages.\" aria-describedby=\"hint\"></div>\n\
         <p id=\"hint\" class=\"quiet script\">Drag to move, pinch or Ctrl and wheel to zoom, click a line to follow its message. \
         Keys: arrows, + and −, 0 for the whole run, n and p for the next and previous message.</p>"
    )?;
    let (shared, devices): (Vec<_>, Vec<_>) =
        recording.faults.iter().enumerate().partition(|(_, fault)| !matches!(fault.place, Place::Device(_)));
    write_faults(out, recording, "What went wrong", "fault", &shared)?;
    write_faults(out, recording, "Devices without a good network", "device", &devices)?;
    let listed = recording.faults.len() as u64;
    if recording.faults_in_all > listed {
        writeln!(out, "<p>{} of {} faults are recorded.</p>", count(listed), count(recording.faults_in_all))?;
    }
    writeln!(out, "</section>")
}

fn write_sample(out: &mut String, recording: &Recording) -> Result {
    let (here, all) = (recording.messages.len() as u64, recording.messages_in_all);
    if here < all {
        let (here, all) = (count(here), count(all));
        writeln!(
            out,
            "<p class=\"note\">{here} of {all} messages are here: the slowest, and of the others every so many. All figures are of all messages.</p>"
        )?;
    }
    Ok(())
}

fn write_faults(
    out: &mut String,
    recording: &Recording,
    title: &str,
    id: &str,
    faults: &[(usize, &Fault)],
) -> Result {
    if faults.is_empty() {
        return Ok(());
    }
    let open = if id == "fault" && faults.len() <= 12 { " open" } else { "" };
    writeln!(
        out,
        "<details{open}><summary>{title} <span class=\"quiet\">{}</span></summary><ul class=\"faults\">",
        count(faults.len() as u64)
    )?;
    for (index, fault) in faults.iter().take(FAULTS_LISTED_MAX) {
        writeln!(
            out,
            "<li data-fault=\"{index}\"><span class=\"swatch {}\" aria-hidden=\"true\"></span><b>{}</b> {} \
             <span class=\"quiet\">{} to {}, for {}</span></li>",
            fault.harm.name(),
            escape(&recording.place(fault.place)),
            escape(&fault.what),
            moment(fault.begins_us),
            moment(fault.ends_us),
            span(fault.ends_us.saturating_sub(fault.begins_us))
        )?;
    }
    writeln!(out, "</ul>")?;
    if faults.len() > FAULTS_LISTED_MAX {
        writeln!(out, "<p class=\"quiet\">The first {FAULTS_LISTED_MAX} are listed.</p>")?;
    }
    writeln!(out, "</details>")
}

fn write_message(out: &mut String, recording: &Recording) -> Result {
    writeln!(out, "<section id=\"message\"><h2>One message, from its author to every device</h2>")?;
    if recording.messages.is_empty() {
        return writeln!(out, "<p>Nobody wrote anything.</p></section>");
    }
    writeln!(
        out,
        "<div class=\"script two\"><div class=\"choose\">\n\
         <div class=\"tools\"><label>Show <select id=\"order\"><option value=\"slow\">slowest first</option>\
         <option value=\"time\">by time</option></select></label>\
         <label>from <select id=\"from\"><option value=\"\">anywhere</option></select></label></div>\n\
         <ul id=\"messages\" aria-label=\"Messages\"></ul><p id=\"listed\" class=\"quiet\"></p></div>\n\
         <div class=\"followed\"><div id=\"said\" aria-live=\"polite\"></div><div id=\"journey\"></div><div id=\"steps\"></div></div></div>\n\
         </section>"
    )
}

fn write_intervals(out: &mut String, recording: &Recording) -> Result {
    let intervals = &recording.intervals;
    writeln!(out, "<section id=\"time\"><h2>How long people waited, over time</h2>")?;
    if intervals.every_us == 0 {
        return writeln!(out, "<p>Nothing was shown to anybody.</p></section>");
    }
    writeln!(
        out,
        "<p>From send until a message stood on another device, by when it was shown there, for each {}. Shaded: something was wrong.</p>\n\
         <div id=\"charts\" class=\"script\"></div><p id=\"value\" class=\"quiet script\" aria-live=\"polite\"></p>\n\
         <details><summary>As a table</summary><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Time to show per interval\"><table><thead><tr><th scope=\"col\">from</th>\
         <th class=\"n\" scope=\"col\">inside: half</th><th class=\"n\" scope=\"col\">99 of 100</th><th class=\"n\" scope=\"col\">shown</th>\
         <th class=\"n\" scope=\"col\">across: half</th><th class=\"n\" scope=\"col\">99 of 100</th><th class=\"n\" scope=\"col\">shown</th></tr></thead><tbody>",
        span(intervals.every_us)
    )?;
    let none = Spread::default();
    for index in 0..intervals.inside.len().max(intervals.across.len()) {
        write!(out, "<tr><th scope=\"row\">{}</th>", moment(intervals.every_us * index as u64))?;
        for list in [&intervals.inside, &intervals.across] {
            let spread = list.get(index).unwrap_or(&none);
            let told = |us| if spread.samples == 0 { "–".to_owned() } else { span(us) };
            let (p50, p99, samples) = (told(spread.p50_us), told(spread.p99_us), count(spread.samples));
            write!(
                out,
                "<td class=\"n\">{p50}</td><td class=\"n\">{p99}</td><td class=\"n\">{samples}</td>"
            )?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div></details></section>")
}

fn write_verdicts(out: &mut String, summary: &Summary) -> Result {
    writeln!(out, "<section id=\"verdicts\"><h2>Verdicts</h2>")?;
    if !summary.judged.is_empty() {
        writeln!(
            out,
            "<table class=\"verdicts\"><thead><tr><th scope=\"col\">judged</th><th scope=\"col\" class=\"n\">breaches</th>\
             <th scope=\"col\" class=\"n\">looked at</th></tr></thead><tbody>"
        )?;
        for judged in &summary.judged {
            let (class, mark) = match (judged.broken, judged.checked) {
                (0, 0) => ("unseen", "–"),
                (0, _) => ("good", "✓"),
                _ => ("bad", "✗"),
            };
            writeln!(
                out,
                "<tr><th scope=\"row\"><span class=\"{class}\" aria-hidden=\"true\">{mark}</span> {}</th>\
                 <td class=\"n {class}\">{}</td><td class=\"n\">{}</td></tr>",
                escape(&judged.what),
                count(judged.broken),
                count(judged.checked)
            )?;
        }
        writeln!(out, "</tbody></table>")?;
    }
    if !summary.findings.is_empty() {
        writeln!(out, "<h3>What was found</h3><ol class=\"findings\">")?;
        for finding in &summary.findings {
            let at = finding.at_us.map(moment).unwrap_or_default();
            writeln!(
                out,
                "<li><b>{}</b> <span class=\"quiet\">{at}</span><br><span class=\"said\">{}</span></li>",
                escape(&finding.what),
                escape(&finding.happened)
            )?;
        }
        writeln!(out, "</ol>")?;
    }
    writeln!(out, "</section>")
}

fn write_tables(out: &mut String, tables: &[Table]) -> Result {
    writeln!(out, "<section id=\"figures\"><h2>Figures</h2><div class=\"tables\">")?;
    for table in tables {
        let caption = escape(&table.caption);
        writeln!(
            out,
            "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><caption>{caption}</caption><thead><tr>"
        )?;
        for (index, column) in table.columns.iter().enumerate() {
            let class = if index == 0 { "" } else { " class=\"n\"" };
            write!(out, "<th scope=\"col\"{class}>{}</th>", escape(column))?;
        }
        writeln!(out, "</tr></thead><tbody>")?;
        for row in &table.rows {
            write!(out, "<tr>")?;
            for (index, cell) in row.iter().enumerate() {
                match index {
                    0 => write!(out, "<th scope=\"row\">{}</th>", escape(cell))?,
                    _ => write!(out, "<td class=\"n\">{}</td>", escape(cell))?,
                }
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody></table></div>")?;
    }
    writeln!(out, "</div></section>")
}

fn write_again(out: &mut String, summary: &Summary) -> Result {
    if summary.commands.is_empty() && summary.drawn.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section id=\"again\"><h2>Run it again</h2>")?;
    for (what, command) in &summary.commands {
        writeln!(out, "<p class=\"command\">{}<code>{}</code></p>", escape(what), escape(command))?;
    }
    if !summary.drawn.is_empty() {
        writeln!(out, "<details><summary>What the seed drew</summary><dl class=\"drawn\">")?;
        for (name, value) in &summary.drawn {
            writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))?;
        }
        writeln!(out, "</dl></details>")?;
    }
    writeln!(out, "</section>")
}
