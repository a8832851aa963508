//! A notebook as one page of HTML that needs nothing else: no scripts, no network.
//!
//! Each output is shown by the richest type that a page without scripts can hold: HTML, PNG, JPEG,
//! GIF, WebP, SVG, Markdown, plain text; a chart by the picture in its bundle. The page's content
//! policy forbids scripts and network, so HTML that a cell made cannot do more than look.

use std::fmt::Write as _;

use base64::Engine as _;
use serde_json::Value;

use crate::notebook::format::{Cell, CodeCell, Notebook, join_lines};
use crate::notebook::markup::{ansi, escape, markdown, rust};

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1d2125; background: #fff }
pre, code { font: 13px/1.45 ui-monospace, monospace }
pre { margin: 0; padding: .6rem .8rem; overflow-x: auto; white-space: pre }
.cell { margin: 1rem 0 }
.count { font: 11px ui-monospace, monospace; color: #57606a }
.code { background: #f4f5f7; border: 1px solid #dcdfe4; border-radius: 4px }
.output { padding: .3rem .8rem; overflow-x: auto }
.output pre { padding: .2rem 0 }
.output img { max-width: 100% }
.stderr { background: #fdf3e7 } .error { background: #fdecea }
.k { color: #8250df } .s { color: #0a3069 } .c { color: #57606a; font-style: italic }
.n { color: #0550ae } .t { color: #953800 } .m { color: #116329 }
.ansi-bold { font-weight: 600 } .ansi-1 { color: #b3261e } .ansi-2 { color: #116329 }
.ansi-3 { color: #8a5a00 } .ansi-4 { color: #0550ae } .ansi-5 { color: #8250df }
.ansi-6 { color: #1b7c83 } .ansi-7 { color: #57606a }
table { border-collapse: collapse } th, td { padding: .15rem .6rem; text-align: right }
";

/// Pictures that browsers show, best first.
const PICTURES: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The page.
#[must_use]
pub fn page(notebook: &Notebook, title: &str) -> String {
    // Writing to a String cannot fail.
    let mut body = String::new();
    for cell in &notebook.cells {
        match cell {
            Cell::Markdown(text) => {
                let _ = writeln!(body, "<div class=\"cell\">{}</div>", markdown(&text.source));
            }
            Cell::Raw(text) => {
                let text = escape(&text.source);
                let _ = writeln!(body, "<div class=\"cell\"><pre>{text}</pre></div>");
            }
            Cell::Code(code) => body.push_str(&code_cell(code)),
        }
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         img-src data:; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title),
    )
}

fn code_cell(code: &CodeCell) -> String {
    let count = code.execution_count.map_or_else(|| " ".to_owned(), |count| count.to_string());
    let outputs: String = code.outputs.iter().map(output).collect();
    format!(
        "<div class=\"cell\"><div class=\"count\">[{count}]</div>\
         <div class=\"code\"><pre>{}</pre></div>\n{outputs}</div>\n",
        rust(&code.source),
    )
}

fn output(output: &Value) -> String {
    let text = |key: &str| output.get(key).and_then(join_lines).unwrap_or_default();
    let (class, inside) = match output.get("output_type").and_then(Value::as_str) {
        Some("stream") => {
            let class = if text("name") == "stderr" { "output stderr" } else { "output" };
            (class, format!("<pre>{}</pre>", ansi(&text("text"))))
        }
        Some("error") => {
            let lines = output.get("traceback").and_then(Value::as_array);
            let lines: Vec<&str> = lines.into_iter().flatten().filter_map(Value::as_str).collect();
            let shown = if lines.is_empty() {
                format!("{}: {}", text("ename"), text("evalue"))
            } else {
                lines.join("\n")
            };
            ("output error", format!("<pre>{}</pre>", ansi(&shown)))
        }
        _ => ("output", bundle(output.get("data").unwrap_or(&Value::Null))),
    };
    format!("<div class=\"{class}\">{inside}</div>\n")
}

fn bundle(data: &Value) -> String {
    let text = |mime: &str| data.get(mime).and_then(join_lines);
    if let Some(html) = text("text/html") {
        return html;
    }
    for mime in PICTURES {
        if let Some(picture) = text(mime) {
            return image(
                mime,
                &picture.split_whitespace().collect::<String>(),
                text("text/plain").as_ref(),
            );
        }
    }
    if let Some(svg) = text("image/svg+xml") {
        let encoded = base64::engine::general_purpose::STANDARD.encode(svg);
        return image("image/svg+xml", &encoded, text("text/plain").as_ref());
    }
    if let Some(source) = text("text/markdown") {
        return markdown(&source);
    }
    let plain = text("text/plain").or_else(|| text("text/latex")).unwrap_or_default();
    format!("<pre>{}</pre>", ansi(&plain))
}

fn image(mime: &str, base64: &str, plain: Option<&String>) -> String {
    let alt = escape(plain.map(String::as_str).unwrap_or_default());
    format!("<img src=\"data:{mime};base64,{}\" alt=\"{alt}\">", escape(base64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outputs_show_their_richest_safe_type() {
        let shown = |data: Value| output(&json!({"output_type": "display_data", "data": data}));
        let chart = json!({"application/vnd.vegalite.v5+json": {}, "image/png": "iVBOR\n", "text/plain": "c"});
        assert!(shown(chart).contains("<img src=\"data:image/png;base64,iVBOR\" alt=\"c\">"));
        let table =
            json!({"text/html": ["<table>\n", "</table>"], "image/png": "x", "text/plain": "t"});
        assert!(shown(table).contains("<table>\n</table>"));
        let svg = json!({"image/svg+xml": "<svg onload=\"alert(1)\"/>", "text/plain": "s"});
        assert!(!shown(svg).contains("onload"));
        assert!(shown(json!({"text/plain": "<script>"})).contains("&lt;script&gt;"));
    }

    #[test]
    fn a_page_holds_cells_and_errors_and_forbids_scripts() {
        let text = r##"{"cells": [
            {"cell_type": "markdown", "metadata": {}, "source": "# <Title>"},
            {"cell_type": "code", "metadata": {}, "source": "let a = 1;", "execution_count": 1,
             "outputs": [{"output_type": "error", "ename": "E0308", "evalue": "v",
                          "traceback": ["\u001b[31mbad\u001b[0m"]}]}
            ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"##;
        let notebook = Notebook::parse(text, std::path::Path::new("x")).expect("parses");
        let page = page(&notebook, "a & b");
        assert!(page.contains("<title>a &amp; b</title>"));
        assert!(page.contains("<h1>&lt;Title&gt;</h1>"));
        assert!(page.contains("<span class=\"ansi-1\">bad</span>"));
        assert!(page.contains("default-src 'none'"));
    }
}
