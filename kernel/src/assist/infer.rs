//! Types of expressions from signatures alone: quick, and sure where it answers. What it cannot tell
//! (closures, types that follow from later code) the compiler is asked for, see [`super::oracle`].

use super::index::last;
use super::locate::{Local, Place, Source};
use super::members::{self, Types as _, associated_of};
use super::page::Item;
use super::ty::{Filled, Ty, parameters_of};
use super::world::World;

/// How deep expressions and bindings are followed.
const DEPTH: usize = 60;

/// The type of what stands before the dot.
pub(super) fn receiver(world: &World, place: &Place) -> Option<Ty> {
    let inference = Inference { world, locals: &place.locals };
    inference.expression(&place.receiver, place.locals.len(), DEPTH).filter(|ty| *ty != Ty::Other)
}

/// The type of a binding of the code that is being written.
pub(super) fn local(world: &World, place: &Place, name: &str) -> Option<Ty> {
    Inference { world, locals: &place.locals }.variable(name, place.locals.len(), DEPTH)
}

struct Inference<'a> {
    world: &'a World,
    locals: &'a [Local],
}

impl Inference<'_> {
    /// The type of an expression in which the first `scope` bindings can be seen.
    fn expression(&self, expression: &syn::Expr, scope: usize, depth: usize) -> Option<Ty> {
        let depth = depth.checked_sub(1)?;
        let of = |inner: &syn::Expr| self.expression(inner, scope, depth);
        match expression {
            syn::Expr::Path(path) => self.path(&path.path, scope, depth),
            syn::Expr::Paren(inner) => of(&inner.expr),
            syn::Expr::Group(inner) => of(&inner.expr),
            syn::Expr::Reference(inner) => Some(Ty::Reference(Box::new(of(&inner.expr)?))),
            syn::Expr::MethodCall(call) => self.method(call, scope, depth),
            syn::Expr::Call(call) => self.call(call, scope, depth),
            syn::Expr::Field(field) => self.field(&of(&field.base)?, &field.member),
            syn::Expr::Try(inner) => {
                let found = self.expanded(of(&inner.expr)?)?;
                matches!(last(found.key()?), "Result" | "Option").then_some(())?;
                found.arguments().first().cloned()
            }
            syn::Expr::Await(inner) => {
                associated_of(self.world, &of(&inner.base)?, "Future", "Output")
            }
            syn::Expr::Index(index) => {
                let base = of(&index.expr)?;
                self.index(&base, &index.index)
            }
            syn::Expr::Lit(literal) => literal_type(&literal.lit),
            syn::Expr::Cast(cast) => Self::written(&cast.ty),
            syn::Expr::Struct(literal) => {
                let path = text_of(&literal.path);
                Some(Ty::Path { path, arguments: type_arguments(&literal.path) })
            }
            syn::Expr::Tuple(parts) => {
                Some(Ty::Tuple(parts.elems.iter().map(of).collect::<Option<_>>()?))
            }
            syn::Expr::Array(array) => Some(Ty::Array(Box::new(of(array.elems.first()?)?))),
            syn::Expr::Repeat(array) => Some(Ty::Array(Box::new(of(&array.expr)?))),
            syn::Expr::Unary(unary) => match unary.op {
                syn::UnOp::Deref(_) => {
                    let inner = of(&unary.expr)?;
                    match inner {
                        Ty::Reference(inner) => Some(*inner),
                        other => associated_of(self.world, &other, "Deref", "Target"),
                    }
                }
                _ => of(&unary.expr),
            },
            syn::Expr::Binary(binary) => self.binary(binary, scope, depth),
            syn::Expr::Range(range) => {
                let bound = range.start.as_ref().or(range.end.as_ref())?;
                let path =
                    if range.end.is_some() { "std::ops::Range" } else { "std::ops::RangeFrom" };
                Some(Ty::Path { path: path.to_owned(), arguments: vec![of(bound)?] })
            }
            syn::Expr::Macro(invocation) => self.macro_call(&invocation.mac, scope, depth),
            syn::Expr::If(one) => self.tail(&one.then_branch, scope, depth),
            syn::Expr::Block(one) => self.tail(&one.block, scope, depth),
            _ => None,
        }
    }

    /// The type of a block's last expression if that needs nothing bound in the block.
    fn tail(&self, block: &syn::Block, scope: usize, depth: usize) -> Option<Ty> {
        match block.stmts.as_slice() {
            [syn::Stmt::Expr(expression, None)] => self.expression(expression, scope, depth),
            _ => None,
        }
    }

    fn path(&self, path: &syn::Path, scope: usize, depth: usize) -> Option<Ty> {
        if let Some(name) = path.get_ident() {
            let name = name.to_string();
            if let Some(found) = self.variable(&name, scope, depth) {
                return Some(found);
            }
        }
        let text = text_of(path);
        if let Some(item) = self.world.item(&text) {
            return match item.kind.as_str() {
                "constant" | "static" => Ty::parse(&item.yields),
                "struct" => Some(Ty::Path { path: text, arguments: Vec::new() }),
                _ => None,
            };
        }
        // `Color::Red`, `f64::MAX`.
        let (owner, name) = text.rsplit_once("::")?;
        let owner = Ty::Path { path: owner.to_owned(), arguments: Vec::new() };
        let reached = members::of_path(self.world, &owner);
        let found = reached.into_iter().find(|one| one.member.name == name)?;
        match found.member.kind.as_str() {
            "variant" => Some(owner),
            "const" => found.yields(),
            _ => None,
        }
    }

    fn variable(&self, name: &str, scope: usize, depth: usize) -> Option<Ty> {
        let depth = depth.checked_sub(1)?;
        let bound = self.locals[..scope].iter().rposition(|local| local.name == name);
        let Some(at) = bound else { return self.world.variable(name) };
        let Local { pattern, source, .. } = &self.locals[at];
        let whole = match source {
            Source::Type(ty) => Self::written(ty)?,
            Source::Value(value) => self.expression(value, at, depth)?,
            Source::Element(value) => {
                let over = self.expression(value, at, depth)?;
                self.element(&over)?
            }
            Source::Unknown => return None,
        };
        self.part(pattern, &whole, name)
    }

    /// What a name in a pattern is bound to when a value of this type is matched.
    fn part(&self, pattern: &syn::Pat, ty: &Ty, name: &str) -> Option<Ty> {
        match pattern {
            syn::Pat::Ident(one) => (one.ident == name).then(|| ty.clone()),
            syn::Pat::Type(one) => self.part(&one.pat, ty, name),
            syn::Pat::Paren(one) => self.part(&one.pat, ty, name),
            syn::Pat::Reference(one) => self.part(&one.pat, ty.unreferenced(), name),
            syn::Pat::Tuple(parts) => {
                let Ty::Tuple(types) = ty.unreferenced() else { return None };
                parts.elems.iter().zip(types).find_map(|(inner, ty)| self.part(inner, ty, name))
            }
            syn::Pat::TupleStruct(one) => {
                let ty = self.expanded(ty.unreferenced().clone())?;
                let argument = match last(&text_of(&one.path)) {
                    "Some" | "Ok" => ty.arguments().first().cloned(),
                    "Err" => ty.arguments().get(1).cloned(),
                    _ => None,
                }?;
                one.elems.iter().find_map(|inner| self.part(inner, &argument, name))
            }
            syn::Pat::Struct(one) => one.fields.iter().find_map(|field| {
                let found = self.field(ty, &field.member)?;
                self.part(&field.pat, &found, name)
            }),
            _ => None,
        }
    }

    /// A type that the user wrote.
    fn written(ty: &syn::Type) -> Option<Ty> {
        use quote::ToTokens as _;
        let text = ty.to_token_stream().to_string().replace(" :: ", "::");
        Ty::parse(&text)
            .filter(|ty| *ty != Ty::Path { path: "_".to_owned(), arguments: Vec::new() })
    }

    fn method(&self, call: &syn::ExprMethodCall, scope: usize, depth: usize) -> Option<Ty> {
        let receiver = self.expression(&call.receiver, scope, depth)?;
        let reached = members::named(self.world, &receiver, &call.method.to_string())?;
        if reached.member.kind != "method" {
            return None;
        }
        let mut yields = reached.yields()?;
        let parameters = parameters_of(&reached.member.signature);
        if let Some(turbofish) = &call.turbofish {
            yields = yields.fill(&given(&parameters, turbofish));
        }
        Self::known(&yields, &parameters)
    }

    /// A type in which no parameter of a function is left where it would decide the members.
    fn known(ty: &Ty, parameters: &[String]) -> Option<Ty> {
        if *ty == Ty::Other || ty.is_parameter(parameters) {
            return None;
        }
        let unknown: Filled = parameters.iter().map(|name| (name.clone(), Ty::Other)).collect();
        let ty = ty.fill(&unknown);
        // `Option<T>` with an unknown `T` tells the methods of `Option`, which is what is asked.
        (*ty.unreferenced() != Ty::Other).then_some(ty)
    }

    fn call(&self, call: &syn::ExprCall, scope: usize, depth: usize) -> Option<Ty> {
        let syn::Expr::Path(function) = &*call.func else { return None };
        let text = text_of(&function.path);
        if let Some(name) = function.path.get_ident()
            && self.locals[..scope].iter().any(|local| *name == local.name)
        {
            return None;
        }
        if let Some(item) = self.world.item(&text) {
            return match item.kind.as_str() {
                "fn" => Self::function(&item, &function.path),
                // A tuple struct.
                "struct" => Some(Ty::Path { path: text, arguments: Vec::new() }),
                _ => None,
            };
        }
        match text.as_str() {
            "Some" | "Ok" => {
                let inner = call.args.first().and_then(|one| self.expression(one, scope, depth));
                let path = if text == "Some" { "Option" } else { "Result" };
                let arguments = vec![inner.unwrap_or(Ty::Other)];
                return Some(Ty::Path { path: path.to_owned(), arguments });
            }
            _ => {}
        }
        let (owner, name) = text.rsplit_once("::")?;
        let arguments = owner_arguments(&function.path);
        let owner = Ty::Path { path: owner.to_owned(), arguments };
        let found = members::of_path(self.world, &owner);
        let found = found.into_iter().find(|one| one.member.name == name)?;
        if found.member.kind == "variant" {
            return Some(owner);
        }
        let yields = found.yields()?;
        // `Vec::new()`: the arguments of the type follow from later code.
        let yields = match (&yields, &owner) {
            (Ty::Path { path, .. }, Ty::Path { path: own, .. }) if last(path) == last(own) => {
                self.with_argument(call, &owner, &yields, scope, depth)
            }
            _ => yields,
        };
        Self::known(&yields, &parameters_of(&found.member.signature))
    }

    /// `Arc::new(x)`, `Some(x)` and the like hold their argument.
    fn with_argument(
        &self,
        call: &syn::ExprCall,
        owner: &Ty,
        yields: &Ty,
        scope: usize,
        depth: usize,
    ) -> Ty {
        const HOLDERS: &[&str] = &["Arc", "Rc", "Box", "Mutex", "RwLock", "RefCell", "Cell"];
        let name = owner.key().map_or("", last);
        if let (true, Some(one), 1) = (HOLDERS.contains(&name), call.args.first(), call.args.len())
            && let Some(inner) = self.expression(one, scope, depth)
            && let Ty::Path { path, .. } = yields
        {
            return Ty::Path { path: path.clone(), arguments: vec![inner] };
        }
        yields.clone()
    }

    fn function(item: &Item, path: &syn::Path) -> Option<Ty> {
        if item.yields.is_empty() {
            return Some(Ty::Tuple(Vec::new()));
        }
        let mut yields = Ty::parse(&item.yields)?;
        let parameters = parameters_of(&item.declaration);
        if let Some(syn::PathArguments::AngleBracketed(list)) =
            path.segments.last().map(|segment| &segment.arguments)
        {
            yields = yields.fill(&given(&parameters, list));
        }
        Self::known(&yields, &parameters)
    }

    fn field(&self, base: &Ty, member: &syn::Member) -> Option<Ty> {
        match member {
            syn::Member::Named(name) => {
                let reached = members::named(self.world, base, &name.to_string())?;
                (reached.member.kind == "field").then(|| reached.yields())?
            }
            syn::Member::Unnamed(index) => match base.unreferenced() {
                Ty::Tuple(parts) => parts.get(index.index as usize).cloned(),
                other => members::named(self.world, other, &index.index.to_string())?.yields(),
            },
        }
    }

    /// `base[index]`.
    fn index(&self, base: &Ty, index: &syn::Expr) -> Option<Ty> {
        let range = matches!(index, syn::Expr::Range(_));
        let base = base.unreferenced();
        if range && matches!(last(base.key()?), "slice" | "array" | "Vec" | "str" | "String") {
            return Some(base.clone());
        }
        match base {
            Ty::Slice(inner) | Ty::Array(inner) => Some((**inner).clone()),
            Ty::Path { path, arguments } if matches!(last(path), "Vec" | "VecDeque") => {
                arguments.first().cloned()
            }
            other => associated_of(self.world, other, "Index", "Output"),
        }
    }

    /// What iterating over a value gives.
    fn element(&self, over: &Ty) -> Option<Ty> {
        let inner = over.unreferenced();
        let element = match inner {
            Ty::Slice(element) | Ty::Array(element) => Some((**element).clone()),
            Ty::Path { path, arguments } if matches!(last(path), "Range" | "RangeInclusive") => {
                arguments.first().cloned()
            }
            _ => associated_of(self.world, inner, "Iterator", "Item")
                .or_else(|| associated_of(self.world, inner, "IntoIterator", "Item")),
        }?;
        (element != Ty::Other).then_some(element)
    }

    fn binary(&self, binary: &syn::ExprBinary, scope: usize, depth: usize) -> Option<Ty> {
        use syn::BinOp;
        let of_trait = match binary.op {
            BinOp::Add(_) => "Add",
            BinOp::Sub(_) => "Sub",
            BinOp::Mul(_) => "Mul",
            BinOp::Div(_) => "Div",
            BinOp::Rem(_) => "Rem",
            BinOp::And(_)
            | BinOp::Or(_)
            | BinOp::Eq(_)
            | BinOp::Lt(_)
            | BinOp::Le(_)
            | BinOp::Ne(_)
            | BinOp::Ge(_)
            | BinOp::Gt(_) => {
                return Ty::parse("bool");
            }
            _ => return None,
        };
        let left = self.expression(&binary.left, scope, depth)?;
        if matches!(
            left.unreferenced().key(),
            Some("i32" | "i64" | "u8" | "u32" | "u64" | "usize" | "f32" | "f64")
        ) {
            return Some(left.unreferenced().clone());
        }
        associated_of(self.world, &left, of_trait, "Output")
    }

    fn macro_call(&self, invocation: &syn::Macro, scope: usize, depth: usize) -> Option<Ty> {
        let name = invocation.path.segments.last()?.ident.to_string();
        match name.as_str() {
            "vec" => {
                type Elements = syn::punctuated::Punctuated<syn::Expr, syn::Token![,]>;
                let elements = invocation.parse_body_with(Elements::parse_terminated);
                let first = elements.ok().and_then(|all| all.first().cloned());
                let element = first.and_then(|one| self.expression(&one, scope, depth));
                let arguments = vec![element.unwrap_or(Ty::Other)];
                Some(Ty::Path { path: "std::vec::Vec".to_owned(), arguments })
            }
            "format" => Ty::parse("std::string::String"),
            "json" => Ty::parse("serde_json::Value"),
            "df" => Ty::parse("Result<DataFrame, PolarsError>"),
            _ => None,
        }
    }

    /// A type whose aliases are expanded.
    fn expanded(&self, ty: Ty) -> Option<Ty> {
        let mut ty = ty;
        for _ in 0..8 {
            let Some(key) = ty.key() else { return Some(ty) };
            match self.world.find_type(key) {
                Some(item) if item.kind == "type" => ty = members::expand(&item, &ty)?,
                _ => return Some(ty),
            }
        }
        None
    }
}

fn given(parameters: &[String], list: &syn::AngleBracketedGenericArguments) -> Filled {
    let types = list.args.iter().filter_map(|argument| match argument {
        syn::GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    parameters
        .iter()
        .cloned()
        .zip(types.map(|ty| {
            use quote::ToTokens as _;
            Ty::parse(&ty.to_token_stream().to_string()).map_or(Ty::Other, |ty| without_blanks(&ty))
        }))
        .collect()
}

/// `_` is not known.
fn without_blanks(ty: &Ty) -> Ty {
    ty.fill(&Filled::from([("_".to_owned(), Ty::Other)]))
}

fn text_of(path: &syn::Path) -> String {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>().join("::")
}

fn type_arguments(path: &syn::Path) -> Vec<Ty> {
    use quote::ToTokens as _;
    match Ty::parse(&path.to_token_stream().to_string()) {
        Some(Ty::Path { arguments, .. }) => arguments,
        _ => Vec::new(),
    }
}

/// The arguments of the segment before the last: `Vec::<i32>::new`.
fn owner_arguments(path: &syn::Path) -> Vec<Ty> {
    let mut owner = path.clone();
    owner.segments.pop();
    owner.segments.pop_punct();
    type_arguments(&owner)
}

fn literal_type(literal: &syn::Lit) -> Option<Ty> {
    let text = match literal {
        syn::Lit::Str(_) => "&str",
        syn::Lit::ByteStr(_) => "&[u8]",
        syn::Lit::Byte(_) => "u8",
        syn::Lit::Char(_) => "char",
        syn::Lit::Bool(_) => "bool",
        syn::Lit::Int(number) if !number.suffix().is_empty() => number.suffix(),
        syn::Lit::Float(number) if !number.suffix().is_empty() => number.suffix(),
        syn::Lit::Int(_) => "i32",
        syn::Lit::Float(_) => "f64",
        _ => return None,
    };
    Ty::parse(text)
}
