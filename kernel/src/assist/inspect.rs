//! Inspection: what is known of the name at the cursor, as text, Markdown and HTML.

use oxilab_protocol::{MimeBundle, VariableInfo};

use super::complete::{receiver, with_cell};
use super::context::{Context, at_end, whole_for_names};
use super::lex::{Kind, Tokens};
use super::magic::{self, Before};
use super::members::{self, Reached};
use super::page::{Item, Member};
use super::ty::Ty;
use super::world::World;
use super::{Desk, before_cursor, docs, infer, locate};
use crate::bytes::bytes;
use crate::diagnostics::paths::shorten;
use crate::magics;

/// What is known of the name at a cursor in code points; `detail` above 0 asks for the source too.
pub(crate) async fn inspect(
    desk: &Desk,
    code: &str,
    cursor: usize,
    detail: u8,
) -> Option<MimeBundle> {
    let text = with_rest_of_word(code, before_cursor(code, cursor));
    let rust = match magic::before(text) {
        Before::Rust(rust) => rust,
        Before::Name(typed) => return of_magic(&typed),
        Before::Arguments(magic) | Before::Body(magic) => return of_magic(&magic.spelling),
    };
    let rust = name_at_end(&rust)?;
    let (begun, context) = at_end(rust);
    if begun.is_empty() {
        return None;
    }
    let world = with_cell(&desk.world, code, rust);
    match context {
        Context::Member { whole } => {
            let owner = receiver(desk, &world, &whole).await?;
            let reached = members::named(&world, &owner, &begun)?;
            Some(of_member(&world, &reached, detail))
        }
        Context::Path { segments, .. } => {
            let path = format!("{}::{begun}", segments.join("::"));
            of_path(&world, &path, detail).or_else(|| {
                let owner = Ty::Path { path: segments.join("::"), arguments: Vec::new() };
                let found = members::of_path(&world, &owner);
                let found = found.into_iter().find(|one| one.member.name == begun)?;
                Some(of_member(&world, &found, detail))
            })
        }
        Context::Field { path, .. } => {
            let owner = Ty::Path { path: path.join("::"), arguments: Vec::new() };
            match members::named(&world, &owner, &begun) {
                Some(found) => Some(of_member(&world, &found, detail)),
                None => of_name(desk, &world, rust, &begun, detail).await,
            }
        }
        Context::Import | Context::Derive | Context::Name => {
            of_name(desk, &world, rust, &begun, detail).await
        }
        Context::Nothing | Context::Text { .. } => None,
    }
}

/// The text before the cursor and the word that the cursor stands in.
fn with_rest_of_word<'a>(code: &'a str, before: &str) -> &'a str {
    let rest = &code[before.len()..];
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    &code[..before.len() + end]
}

/// The code up to the name that is asked for: the one at its end, else the function whose arguments
/// are being written.
fn name_at_end(rust: &str) -> Option<&str> {
    let tokens = Tokens::read(rust);
    let last = tokens.all.last()?;
    if last.kind == Kind::Word && last.range.end == rust.len() {
        return Some(rust);
    }
    // `vec!` and `f` right in front of the cursor.
    if last.kind == Kind::Mark && tokens.word(tokens.all.len() - 1) == "!" && tokens.all.len() > 1 {
        return Some(&rust[..tokens.all[tokens.all.len() - 2].range.end]);
    }
    for bracket in tokens.open().into_iter().rev() {
        let mut before = bracket.checked_sub(1)?;
        if tokens.is(before, "!") {
            before = before.checked_sub(1)?;
        }
        if tokens.is(bracket, "{") {
            return None;
        }
        if tokens.kind(before) == Some(Kind::Word) {
            return Some(&rust[..tokens.all[before].range.end]);
        }
    }
    None
}

async fn of_name(
    desk: &Desk,
    world: &World,
    rust: &str,
    begun: &str,
    detail: u8,
) -> Option<MimeBundle> {
    let before = rust.strip_suffix(begun).unwrap_or(rust);
    let place = whole_for_names(before).and_then(|whole| locate::find(&whole));
    if let Some(place) = place.filter(|place| place.locals.iter().any(|local| local.name == begun))
        && let Some(ty) = infer::local(world, &place, begun)
    {
        return Some(page(&format!("let {begun}: {ty}"), "", ""));
    }
    if let Some(ty) = world.variables.get(begun) {
        let about = desk.live.about(begun).await;
        let preview = desk.live.preview(begun).await;
        return Some(of_variable(world, begun, ty, about.as_ref(), preview.as_ref()));
    }
    of_path(world, begun, detail)
}

/// A variable: its type, size, a preview, and what its type is.
fn of_variable(
    world: &World,
    name: &str,
    ty: &str,
    about: Option<&VariableInfo>,
    preview: Option<&MimeBundle>,
) -> MimeBundle {
    let mut lines = vec![format!("{name}: {}", shorten(ty))];
    let mut facts = Vec::new();
    if let Some(about) = about {
        facts.extend(about.shape.clone());
        if about.bytes > 0 {
            facts.push(bytes(about.bytes));
        }
    }
    if !facts.is_empty() {
        lines.push(facts.join(", "));
    }
    let shown = preview.map(|bundle| bundle.plain().to_owned()).filter(|text| !text.is_empty());
    let value = shown.or_else(|| about.map(|about| about.preview.clone())).unwrap_or_default();
    let what = Ty::parse(ty)
        .and_then(|ty| ty.unreferenced().key().map(str::to_owned))
        .and_then(|key| members::Types::find_type(world, &key))
        .map(|item| docs::summary(&item.docs))
        .unwrap_or_default();
    let head = lines.join("\n");
    let rich =
        preview.and_then(|bundle| bundle.data.get("text/html")).and_then(|html| html.as_str());
    let facts = if facts.is_empty() { String::new() } else { facts.join(", ") };
    let type_text = shorten(ty);
    let html_value = match rich {
        Some(html) => html.to_owned(),
        None if value.is_empty() => String::new(),
        None => format!("<pre>{}</pre>", docs::escape(&value)),
    };
    let html = format!(
        "<pre><code>{}</code></pre>{}{html_value}{}",
        docs::escape(&format!("{name}: {type_text}")),
        paragraph(&facts),
        paragraph(&what),
    );
    let joined = |parts: [&str; 3]| {
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
    };
    let fenced = if value.is_empty() { String::new() } else { format!("```text\n{value}\n```") };
    let markdown_head = format!(
        "```rust\n{name}: {type_text}\n```{}",
        if facts.is_empty() { String::new() } else { format!("\n\n{facts}") }
    );
    MimeBundle::text(joined([&head, &value, &what]))
        .with("text/markdown", joined([&markdown_head, &fenced, &what]))
        .with_html(html)
}

fn paragraph(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p>{}</p>", docs::escape(text)) }
}

fn of_path(world: &World, path: &str, detail: u8) -> Option<MimeBundle> {
    let item = world.item(path)?;
    if detail > 0
        && let Some(own) = world.own.items.get(path)
    {
        return Some(page(&own.source, "", ""));
    }
    let full = world.spelled(path);
    let place = full.rsplit_once("::").map(|(module, _)| module).unwrap_or_default();
    let more = if detail > 0 { overview(&item) } else { String::new() };
    Some(page(&declaration(&item, path), &format!("{}{more}", item.docs), place))
}

fn declaration(item: &Item, path: &str) -> String {
    match item.kind.as_str() {
        "mod" => format!("mod {path}"),
        "primitive" => format!("primitive type {path}"),
        _ => item.declaration.clone(),
    }
}

/// The own methods of a type, as HTML: its source is not there, this is the next best.
fn overview(item: &Item) -> String {
    let members = item.members.iter().chain(
        item.impls
            .iter()
            .filter(|block| block.of_trait.is_empty())
            .flat_map(|block| &block.members),
    );
    let lines: Vec<String> = members
        .filter(|member| !member.unstable)
        .map(|member| docs::escape(&super::complete::one_line(&member.signature)))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("<h5>Members</h5><pre><code>{}</code></pre>", lines.join("\n"))
}

fn of_member(world: &World, reached: &Reached, detail: u8) -> MimeBundle {
    let Member { signature, docs: own, source, .. } = &reached.member;
    let owner = reached.owner.to_string();
    let place = match reached.of_trait.as_str() {
        "" => owner,
        of_trait => format!("{} for {owner}", super::index::last(of_trait)),
    };
    if detail > 0 && !source.is_empty() {
        return page(source, "", &place);
    }
    let mut text = own.clone();
    // An `impl` in the notebook has seldom documentation of its own: the trait's serves.
    if text.is_empty()
        && let Some(item) = members::Types::find_trait(world, &reached.of_trait)
        && let Some(member) = item.members.iter().find(|one| one.name == reached.member.name)
    {
        text.clone_from(&member.docs);
    }
    page(signature, &text, &place)
}

fn of_magic(typed: &str) -> Option<MimeBundle> {
    let magic = magics::find(typed.trim_start_matches(['/', '%', ':']))?;
    Some(page(magic.usage(), &format!("<p>{}</p>", docs::escape(magic.summary())), ""))
}

/// A page: code, where it belongs, documentation in clean HTML.
fn page(code: &str, html: &str, place: &str) -> MimeBundle {
    let code = code.trim();
    let mut plain = code.to_owned();
    let mut markdown = format!("```rust\n{code}\n```");
    let mut rich = format!("<pre><code>{}</code></pre>", docs::escape(code));
    if !place.is_empty() {
        plain.push_str(&format!("\n\n(in {place})"));
        markdown.push_str(&format!("\n\n*in* `{place}`"));
        rich.push_str(&format!("<p><em>in</em> <code>{}</code></p>", docs::escape(place)));
    }
    if !html.is_empty() {
        plain.push_str(&format!("\n\n{}", docs::plain(html)));
        markdown.push_str(&format!("\n\n{}", docs::markdown(html)));
        rich.push_str(html);
    }
    MimeBundle::text(plain).with("text/markdown", markdown).with_html(rich)
}

/// A question for help in a cell: `name?`, `name??`, `?name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Help {
    /// What stands before the line that asks.
    pub(crate) before: String,
    /// What is asked about.
    pub(crate) subject: String,
    /// Whether the source is wanted.
    pub(crate) detail: u8,
    /// Whether `?` stands where Rust's own operator may.
    may_be_rust: bool,
}

/// The question that the last line of a cell may ask, as far as its text tells; [`Help::is_rust`] tells
/// the rest.
pub(crate) fn help_request(code: &str) -> Option<Help> {
    let code = code.trim_end();
    let start = code.rfind('\n').map_or(0, |at| at + 1);
    let line = code[start..].trim();
    let (subject, detail) = if let Some(subject) = line.strip_prefix("??") {
        (subject, 1)
    } else if let Some(subject) = line.strip_prefix('?') {
        (subject, 0)
    } else if let Some(subject) = line.strip_suffix("??") {
        (subject, 1)
    } else {
        (line.strip_suffix('?')?, 0)
    };
    let subject = subject.trim();
    let bare = bare(subject);
    let is_path = bare.split(['.', ':']).all(|part| {
        part.is_empty() || syn::parse_str::<syn::Ident>(part).is_ok() || part == "self"
    });
    if bare.is_empty() || !is_path || bare.ends_with(['.', ':']) {
        return None;
    }
    // A magic above the line, or a statement that goes on into it, is not ours.
    let before = &code[..start];
    let mut lines = magics::split(&format!("{before}%who"));
    if !matches!(lines.pop(), Some(magics::Segment::Magic(magic)) if magic.name == "who") {
        return None;
    }
    let may_be_rust = !line.starts_with('?') && !subject.contains('%') && !subject.ends_with('!');
    Some(Help { before: before.to_owned(), subject: subject.to_owned(), detail, may_be_rust })
}

/// A subject without the marks of magics and macros.
fn bare(subject: &str) -> &str {
    subject.trim_start_matches("%%").trim_start_matches('%').trim_end_matches('!')
}

impl Help {
    /// Whether `?` is Rust's own operator and the cell asks nothing: behind a variable whose type has it,
    /// and behind what the lines above may have made. A world without a library is enough, except where
    /// [`Self::names_a_field`].
    pub(crate) fn is_rust(&self, world: &World) -> bool {
        let bare = bare(&self.subject);
        self.may_be_rust && (is_fallible(world, bare) || is_made_in(world, &self.before, bare))
    }

    /// Whether the type of what is asked about may be a field's, which only a crate's page tells.
    pub(crate) fn names_a_field(&self, world: &World) -> bool {
        let owner = self.subject.split_once('.').map(|(owner, _)| owner);
        self.may_be_rust && owner.is_some_and(|owner| world.variables.contains_key(owner))
    }
}

/// Whether the lines before may have made the value: only what an earlier cell made, and these lines do
/// not mention, is surely what it was.
fn is_made_in(world: &World, before: &str, subject: &str) -> bool {
    let root = subject.split(['.', ':']).next().unwrap_or_default();
    let is_type = root.starts_with(char::is_uppercase) || subject.contains("::");
    let mentioned =
        before.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == root);
    !before.trim().is_empty() && (mentioned || !(is_type || world.variable(root).is_some()))
}

/// Whether `?` behind this value is Rust's.
fn is_fallible(world: &World, subject: &str) -> bool {
    let ty = if let Some((_, _)) = subject.split_once('.') {
        // `point.result?`: a field, for a method would have brackets.
        locate::find(&format!("{subject}.{}", super::context::HOLE))
            .and_then(|place| infer::receiver(world, &place))
    } else {
        world.variable(subject)
    };
    ty.is_some_and(|ty| match ty {
        Ty::Path { path, .. } => {
            matches!(
                super::index::last(&path),
                "Result" | "Option" | "Poll" | "ControlFlow" | "PolarsResult"
            )
        }
        _ => false,
    })
}
