//! Types as far as completion needs them: parsed from text, matched against the head of an `impl`,
//! with parameters filled in.

use std::collections::BTreeMap;

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    /// A path and the type arguments of its last segment: `std::vec::Vec<i32>`, `T`, `Self::Item`.
    Path { path: String, arguments: Vec<Ty> },
    /// `&T`, `&mut T`, `*const T`.
    Reference(Box<Ty>),
    /// `[T]`.
    Slice(Box<Ty>),
    /// `[T; N]`.
    Array(Box<Ty>),
    /// `(A, B)`; the empty one is the unit type.
    Tuple(Vec<Ty>),
    /// `dyn Trait`, `impl Trait`: the traits with their bindings (`Item = u8`).
    Bounds(Vec<Bound>),
    /// Anything else.
    Other,
}

/// A trait that a type is known to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Its path.
    pub(crate) path: String,
    /// Associated types that are fixed.
    pub(crate) types: Vec<(String, Ty)>,
}

/// Parameters and what they stand for.
pub(crate) type Filled = BTreeMap<String, Ty>;

impl Ty {
    /// Reads a type as rustc or rustdoc prints it.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.replace("{integer}", "i32").replace("{float}", "f64");
        // What rustc prints of closures and functions is no type.
        let text = text.split(" {").next().unwrap_or_default();
        let parsed: syn::Type = syn::parse_str(text.trim()).ok()?;
        Some(Self::of(&parsed))
    }

    fn of(ty: &syn::Type) -> Self {
        match ty {
            syn::Type::Path(path) if path.qself.is_none() => Self::of_path(&path.path),
            syn::Type::Reference(reference) => Self::Reference(Box::new(Self::of(&reference.elem))),
            syn::Type::Ptr(pointer) => Self::Reference(Box::new(Self::of(&pointer.elem))),
            syn::Type::Slice(slice) => Self::Slice(Box::new(Self::of(&slice.elem))),
            syn::Type::Array(array) => Self::Array(Box::new(Self::of(&array.elem))),
            syn::Type::Tuple(tuple) => Self::Tuple(tuple.elems.iter().map(Self::of).collect()),
            syn::Type::Paren(inner) => Self::of(&inner.elem),
            syn::Type::Group(inner) => Self::of(&inner.elem),
            syn::Type::ImplTrait(traits) => Self::of_bounds(traits.bounds.iter()),
            syn::Type::TraitObject(object) => Self::of_bounds(object.bounds.iter()),
            _ => Self::Other,
        }
    }

    fn of_path(path: &syn::Path) -> Self {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        Self::Path { path: names.join("::"), arguments: arguments(path) }
    }

    fn of_bounds<'a>(bounds: impl Iterator<Item = &'a syn::TypeParamBound>) -> Self {
        let traits = bounds.filter_map(|bound| match bound {
            syn::TypeParamBound::Trait(bound) => {
                let names: Vec<String> =
                    bound.path.segments.iter().map(|s| s.ident.to_string()).collect();
                let types = bindings(&bound.path);
                Some(Bound { path: names.join("::"), types })
            }
            _ => None,
        });
        Self::Bounds(traits.collect())
    }

    /// The type without references around it.
    #[must_use]
    pub(crate) fn unreferenced(&self) -> &Self {
        match self {
            Self::Reference(inner) => inner.unreferenced(),
            other => other,
        }
    }

    /// Where the index has it: the path of a type, the name of a primitive's page.
    #[must_use]
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Path { path, .. } => Some(path),
            Self::Slice(_) => Some("slice"),
            Self::Array(_) => Some("array"),
            Self::Tuple(parts) if parts.is_empty() => Some("unit"),
            Self::Tuple(_) => Some("tuple"),
            Self::Reference(_) | Self::Bounds(_) | Self::Other => None,
        }
    }

    /// The type arguments.
    #[must_use]
    pub(crate) fn arguments(&self) -> &[Self] {
        match self {
            Self::Path { arguments, .. } => arguments,
            _ => &[],
        }
    }

    /// With parameters replaced by what they stand for.
    #[must_use]
    pub(crate) fn fill(&self, filled: &Filled) -> Self {
        let all = |types: &[Self]| types.iter().map(|ty| ty.fill(filled)).collect();
        match self {
            Self::Path { path, arguments } => match filled.get(path) {
                Some(found) if arguments.is_empty() => found.clone(),
                _ => Self::Path { path: path.clone(), arguments: all(arguments) },
            },
            Self::Reference(inner) => Self::Reference(Box::new(inner.fill(filled))),
            Self::Slice(inner) => Self::Slice(Box::new(inner.fill(filled))),
            Self::Array(inner) => Self::Array(Box::new(inner.fill(filled))),
            Self::Tuple(parts) => Self::Tuple(all(parts)),
            Self::Bounds(bounds) => Self::Bounds(
                bounds
                    .iter()
                    .map(|bound| Bound {
                        path: bound.path.clone(),
                        types: bound
                            .types
                            .iter()
                            .map(|(name, ty)| (name.clone(), ty.fill(filled)))
                            .collect(),
                    })
                    .collect(),
            ),
            Self::Other => Self::Other,
        }
    }

    /// Whether this pattern, in which `parameters` stand for anything, fits a type; what each stands
    /// for is added to `filled`. Paths fit when their last segments do: pages and rustc spell them
    /// differently. A type that is not known fits everything.
    pub(crate) fn fits(&self, found: &Self, parameters: &[String], filled: &mut Filled) -> bool {
        match (self, found) {
            (Self::Path { path, arguments }, _)
                if arguments.is_empty() && parameters.contains(path) =>
            {
                let known = filled.entry(path.clone()).or_insert_with(|| found.clone()).clone();
                known == *found || known == Self::Other || *found == Self::Other
            }
            (_, Self::Other) | (Self::Other, _) | (Self::Bounds(_), Self::Bounds(_)) => true,
            (Self::Path { path, arguments }, Self::Path { path: other, arguments: others }) => {
                super::index::last(path) == super::index::last(other)
                    && arguments
                        .iter()
                        .zip(others)
                        .all(|(mine, theirs)| mine.fits(theirs, parameters, filled))
            }
            (Self::Reference(mine), Self::Reference(theirs))
            | (Self::Slice(mine), Self::Slice(theirs))
            | (Self::Array(mine), Self::Array(theirs)) => mine.fits(theirs, parameters, filled),
            (Self::Tuple(mine), Self::Tuple(theirs)) => {
                mine.len() == theirs.len()
                    && mine.iter().zip(theirs).all(|(m, t)| m.fits(t, parameters, filled))
            }
            _ => false,
        }
    }

    /// Whether a name of `parameters` is the type itself or stands in it where it decides its methods.
    #[must_use]
    pub(crate) fn is_parameter(&self, parameters: &[String]) -> bool {
        match self.unreferenced() {
            Self::Path { path, arguments } => arguments.is_empty() && parameters.contains(path),
            _ => false,
        }
    }
}

impl std::fmt::Display for Ty {
    /// As a person reads it: without modules.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |f: &mut std::fmt::Formatter<'_>, types: &[Self]| {
            for (at, ty) in types.iter().enumerate() {
                write!(f, "{}{ty}", if at > 0 { ", " } else { "" })?;
            }
            Ok(())
        };
        match self {
            Self::Path { path, arguments } => {
                f.write_str(super::index::last(path))?;
                if arguments.is_empty() {
                    return Ok(());
                }
                f.write_str("<")?;
                list(f, arguments)?;
                f.write_str(">")
            }
            Self::Reference(inner) => write!(f, "&{inner}"),
            Self::Slice(inner) => write!(f, "[{inner}]"),
            Self::Array(inner) => write!(f, "[{inner}; _]"),
            Self::Tuple(parts) => {
                f.write_str("(")?;
                list(f, parts)?;
                f.write_str(if parts.len() == 1 { ",)" } else { ")" })
            }
            Self::Bounds(bounds) => {
                let names: Vec<&str> =
                    bounds.iter().map(|bound| super::index::last(&bound.path)).collect();
                write!(f, "impl {}", names.join(" + "))
            }
            Self::Other => f.write_str("_"),
        }
    }
}

fn arguments(path: &syn::Path) -> Vec<Ty> {
    let Some(last) = path.segments.last() else { return Vec::new() };
    match &last.arguments {
        syn::PathArguments::AngleBracketed(given) => given
            .args
            .iter()
            .filter_map(|one| match one {
                syn::GenericArgument::Type(ty) => Some(Ty::of(ty)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn bindings(path: &syn::Path) -> Vec<(String, Ty)> {
    let Some(last) = path.segments.last() else { return Vec::new() };
    match &last.arguments {
        syn::PathArguments::AngleBracketed(given) => given
            .args
            .iter()
            .filter_map(|one| match one {
                syn::GenericArgument::AssocType(binding) => {
                    Some((binding.ident.to_string(), Ty::of(&binding.ty)))
                }
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The head of an `impl`: its parameters and the type that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Names of its type parameters.
    pub(crate) parameters: Vec<String>,
    /// The type.
    pub(crate) target: Ty,
}

impl Head {
    /// Reads `impl<T> Deref for Vec<T>`.
    #[must_use]
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let text =
            format!("{} {{}}", header.replace("impl<T> !", "impl<T> ").replace("impl !", "impl "));
        let block: syn::ItemImpl = syn::parse_str(&text).ok()?;
        Some(Self {
            parameters: block.generics.type_params().map(|p| p.ident.to_string()).collect(),
            target: Ty::of(&block.self_ty),
        })
    }
}

/// The type parameters that a function declares, in order.
#[must_use]
pub(crate) fn parameters_of(signature: &str) -> Vec<String> {
    let Some(at) = signature.find("fn ") else { return Vec::new() };
    let behind = &signature[at + 3..];
    let (Some(open), Some(round)) = (behind.find('<'), behind.find('(')) else { return Vec::new() };
    if round < open {
        return Vec::new();
    }
    let mut depth = 0;
    let mut before = ' ';
    let end = behind[open..].char_indices().find_map(|(index, c)| {
        depth += i32::from(c == '<') - i32::from(c == '>' && before != '-' && before != '=');
        before = c;
        (depth == 0).then_some(open + index + 1)
    });
    let Some(end) = end else { return Vec::new() };
    let Ok(generics) = syn::parse_str::<syn::Generics>(&behind[open..end]) else {
        return Vec::new();
    };
    generics.type_params().map(|parameter| parameter.ident.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(text: &str) -> Ty {
        Ty::parse(text).expect(text)
    }

    #[test]
    fn an_impl_fits_and_fills_its_parameters() {
        let head = Head::parse("impl<T, A> std::ops::Deref for std::vec::Vec<T, A>").expect("head");
        let mut filled = Filled::new();
        assert!(head.target.fits(&ty("alloc::vec::Vec<i32>"), &head.parameters, &mut filled));
        assert_eq!(ty("&[T]").fill(&filled), ty("&[i32]"));
        let bytes = Head::parse("impl Write for Vec<u8>").expect("head");
        assert!(!bytes.target.fits(&ty("Vec<i32>"), &bytes.parameters, &mut Filled::new()));
        let blanket = Head::parse("impl<T> Into<U> for T").expect("head");
        assert!(blanket.target.fits(&ty("Vec<i32>"), &blanket.parameters, &mut Filled::new()));
    }

    #[test]
    fn a_parameter_stands_for_one_type() {
        let head = Head::parse("impl<T> X for (T, T)").expect("head");
        assert!(head.target.fits(&ty("(u8, u8)"), &head.parameters, &mut Filled::new()));
        assert!(!head.target.fits(&ty("(u8, i8)"), &head.parameters, &mut Filled::new()));
    }

    #[test]
    fn what_rustc_prints_is_read() {
        assert_eq!(ty("{integer}"), ty("i32"));
        assert_eq!(ty("fn(i32) -> i32 {name}"), Ty::Other);
        let Ty::Bounds(bounds) = ty("impl Iterator<Item = u8> + Send") else { panic!() };
        assert_eq!((bounds[0].path.as_str(), &bounds[0].types[0].1), ("Iterator", &ty("u8")));
        assert!(Ty::parse("{closure@a.rs:1:2: 3:4}").is_none());
        assert_eq!(ty("&&mut str").unreferenced().key(), Some("str"));
        assert_eq!(ty("()").key(), Some("unit"));
    }

    #[test]
    fn parameters_of_functions() {
        assert_eq!(parameters_of("pub fn collect<B: FromIterator<u8>>(self) -> B"), ["B"]);
        assert_eq!(
            parameters_of("fn map<'a, F: Fn(u8) -> u8, const N: usize, C>(x: F)"),
            ["F", "C"]
        );
        assert!(parameters_of("fn len(&self) -> Option<u8>").is_empty());
    }
}
