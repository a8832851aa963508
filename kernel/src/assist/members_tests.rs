use super::*;
use crate::assist::testing::world;

fn names(ty: &str) -> Vec<String> {
    let found = of_value(&world(), &Ty::parse(ty).expect(ty));
    found.into_iter().map(|one| one.member.name).collect()
}

#[test]
fn methods_are_told_from_functions() {
    for signature in [
        "pub fn a(&self)",
        "fn a<F: Fn(u8) -> u8>(self, f: F)",
        "pub const fn a(\n    &mut self,\n    b: u8,\n)",
        "fn a<'a>(&'a mut self)",
        "fn a(self: Box<Self>)",
    ] {
        assert!(takes_self(signature), "{signature}");
    }
    for signature in ["fn a()", "fn a(selfish: u8)", "fn a(x: fn(self_: u8))", "const A: u8"] {
        assert!(!takes_self(signature), "{signature}");
    }
}

#[test]
fn references_and_smart_pointers_lead_on() {
    assert!(names("&mut std::vec::Vec<u8>").contains(&"len".to_owned()));
    assert!(names("[u8; 4]").contains(&"len".to_owned()));
    assert!(names("impl Iterator<Item = u8>").contains(&"next".to_owned()));
    assert!(names("nowhere::Nothing").is_empty());
    assert_eq!(names("i32"), Vec::<String>::new());
}

#[test]
fn what_a_member_yields_has_the_types_filled_in() {
    let ty = Ty::parse("std::vec::Vec<usize>").expect("type");
    let first = named(&world(), &ty, "first").expect("method").yields().expect("type");
    assert_eq!(first.to_string(), "Option<&usize>");
    let iter = Ty::parse("std::slice::Iter<'_, usize>").expect("type");
    let next = named(&world(), &iter, "next").expect("method").yields().expect("type");
    assert_eq!(next.to_string(), "Option<&usize>");
    assert_eq!(associated_of(&world(), &ty, "IntoIterator", "Item"), Ty::parse("usize"));
}

#[test]
fn parameters_of_declarations() {
    assert_eq!(declared_parameters("pub struct Vec<T, A = Global> { /* private */ }"), ["T", "A"]);
    assert_eq!(declared_parameters("pub type R<T> = Result<T, E>;"), ["T"]);
    assert!(declared_parameters("pub type R = Result<u8, E>;").is_empty());
}
