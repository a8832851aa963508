//! The registry: `%register`, `%models`, `%promote`, `%load`, `%lineage`.

use super::{Face, literal, none, required, show};
use crate::magics::known::Meant;

pub(in crate::magics) static REGISTER: Face = Face {
    names: &["register"],
    summary: "registers a model (a variable, a file or a folder) as the next version of a name",
    usage: "%register VARIABLE as NAME [@ALIAS]\n%register PATH as NAME [@ALIAS]",
    compose: |arguments, known| {
        let (what, rest) = arguments.rsplit_once(" as ").ok_or("`as NAME` is missing")?;
        let (name, alias) = match rest.split_once('@') {
            Some((name, alias)) => (name.trim(), Some(alias.trim())),
            None => (rest.trim(), None),
        };
        let what = required(what.trim(), "the model")?;
        let name = literal(required(name, "the model's name")?);
        let register = if known.model(what)? == Meant::Variable {
            known.saves(what)?;
            format!("oxilab::track::register_with({name}, |path| {what}.save(path))?")
        } else {
            format!("oxilab::track::register({}, {name})?", literal(what))
        };
        // A version that cannot have the alias is not made.
        let check = alias.map_or_else(String::new, |alias| {
            format!("oxilab::track::check_alias({})?; ", literal(alias))
        });
        let promote = alias.map_or_else(String::new, |alias| {
            let alias = literal(alias);
            format!(" oxilab::track::promote({name}, version.version, {alias})?;")
        });
        let shown = show(&format!(
            "oxilab::track::resolve(&format!(\"models:/{{}}/{{}}\", {name}, version.version))?"
        ));
        Ok(format!(
            "{{ {check}oxilab::track::say_run(false)?; let version = {register};{promote} {shown} }}"
        ))
    },
};

pub(in crate::magics) static MODELS: Face = Face {
    names: &["models"],
    summary: "shows the registered models with versions and aliases",
    usage: "%models",
    compose: |arguments, _| {
        none(arguments)?;
        Ok(show("oxilab::track::models()?"))
    },
};

pub(in crate::magics) static PROMOTE: Face = Face {
    names: &["promote"],
    summary: "points an alias at a version of a model, after its goals are met",
    usage: "%promote NAME/VERSION @ALIAS",
    compose: |arguments, _| {
        // The marks may be left away: `NAME VERSION ALIAS` cannot mean anything else.
        let parts = arguments.rsplit_once('@');
        let parts = parts.or_else(|| arguments.rsplit_once(char::is_whitespace));
        let (model, alias) = parts.ok_or("`@ALIAS` is missing")?;
        let (model, alias) = (model.trim(), alias.trim());
        let parts = model.rsplit_once('/').or_else(|| model.rsplit_once(char::is_whitespace));
        let (name, version) = parts.ok_or("`NAME/VERSION @ALIAS` is wanted")?;
        let version: u32 =
            version.trim().parse().map_err(|_| format!("{version:?} is no version: 1, 2, …"))?;
        let name = name.trim();
        let shown = show(&format!(
            "oxilab::track::resolve({})?",
            literal(&format!("models:/{name}@{alias}"))
        ));
        let (name, alias) = (literal(name), literal(alias));
        Ok(format!("oxilab::track::promote({name}, {version}, {alias})?; {shown}"))
    },
};

pub(in crate::magics) static LOAD: Face = Face {
    names: &["load"],
    summary: "loads a registered model into a variable",
    usage: "%load NAME@ALIAS into VARIABLE\n%load NAME/VERSION into VARIABLE\n\
            %load NAME into VARIABLE (the latest version)",
    compose: |arguments, _| {
        let (model, variable) =
            arguments.rsplit_once(" into ").ok_or("`into VARIABLE` is missing")?;
        let variable = variable.trim();
        if syn::parse_str::<syn::Ident>(variable).is_err() {
            return Err(format!("{variable:?} is no name of a variable"));
        }
        let model = literal(&latest(required(model.trim(), "the model's address")?));
        Ok(format!("let {variable} = oxilab::model::load(oxilab::track::load_path({model})?)?;"))
    },
};

/// A bare name is its latest version.
fn latest(model: &str) -> String {
    if model.contains(['@', '/']) { model.to_owned() } else { format!("{model}/latest") }
}

pub(in crate::magics) static LINEAGE: Face = Face {
    names: &["lineage"],
    summary: "shows the run, the data and the code that a registered model comes from",
    usage: "%lineage NAME@ALIAS\n%lineage NAME/VERSION",
    compose: |model, _| {
        let model = literal(&latest(required(model, "the model's address")?));
        Ok(show(&format!("oxilab::track::lineage({model})?")))
    },
};
