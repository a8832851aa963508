//! Pages cut down to what matters, in rustdoc's own spelling.

use super::*;

const STRUCT: &str = r##"<html><head></head><body><main><section id="main-content" class="content"><h1>Struct <span class="struct">Thing</span></h1>
<pre class="rust item-decl"><code>pub struct Thing {
    pub a: <a class="primitive" href="primitive.i32.html">i32</a>,
    <span class="comment">/* private fields */</span>
}</code></pre><details class="toggle top-doc" open><summary class="hideme"><span>Expand description</span></summary><div class="docblock"><p>A <code>thing</code>.</p>
</div></details><h2 id="fields" class="fields section-header">Fields<a href="#fields" class="anchor">§</a></h2><span id="structfield.a" class="structfield section-header"><a href="#structfield.a" class="anchor field">§</a><code>a: <a class="struct" href="x/struct.Bag.html" title="struct oxilab_pages::x::Bag">Bag</a></code></span><div class="docblock"><p>the a</p>
</div><h2 id="implementations" class="section-header">Implementations</h2><div id="implementations-list"><details><summary><section id="impl-Thing" class="impl"><a href="#impl-Thing" class="anchor">§</a><h3 class="code-header">impl&lt;T&gt; <a class="struct" href="struct.Thing.html" title="struct oxilab_pages::x::Thing">Thing</a>&lt;T&gt;<div class="where">where
    T: Ord,</div></h3></section></summary><div class="impl-items"><details><summary><section id="method.sorted-1" class="method"><h4 class="code-header">pub fn <a href="#method.sorted-1" class="fn">sorted</a>&lt;F: <a class="trait" href="t.html" title="trait core::ops::Fn">Fn</a>(T) -&gt; u8&gt;(self, f: F) -&gt; <a class="struct" href="struct.Thing.html" title="struct oxilab_pages::x::Thing">Thing</a>&lt;T&gt;<div class="where">where
    F: Copy,</div></h4></section></summary><div class="docblock"><p>Sorts.</p>
</div></details><details><summary><section id="method.odd" class="method"><h4 class="code-header">pub fn <a href="#method.odd" class="fn">odd</a>(&amp;self)</h4></section></summary><span class="item-info"><div class="stab unstable">🔬</div></span><div class="docblock"><p>Odd.</p></div></details></div></details></div><h2 id="deref-methods-Vec%3CT%3E" class="section-header">Methods from Deref</h2><section id="method.capacity" class="method"><h4 class="code-header">pub fn <a href="#method.capacity" class="fn">capacity</a>(&amp;self) -&gt; usize</h4></section><h2 id="trait-implementations" class="section-header">Trait Implementations</h2><section id="impl-Deref-for-Thing" class="impl"><h3 class="code-header">impl&lt;T&gt; <a class="trait" href="../ops/trait.Deref.html" title="trait core::ops::deref::Deref">Deref</a> for <a class="struct" href="struct.Thing.html" title="struct oxilab_pages::x::Thing">Thing</a>&lt;T&gt;</h3></section><section id="associatedtype.Target" class="associatedtype trait-impl"><h4 class="code-header">type <a href="../ops/trait.Deref.html#associatedtype.Target" class="associatedtype">Target</a> = <a class="struct" href="v.html" title="struct alloc::vec::Vec">Vec</a>&lt;T&gt;</h4></section><div class='docblock'>The type.</div><section id="method.deref" class="method trait-impl"><h4 class="code-header">fn <a href="../ops/trait.Deref.html#tymethod.deref" class="fn">deref</a>(&amp;self) -&gt; &amp;Vec</h4></section><section id="impl-Gone-for-Thing" class="impl"><h3 class="code-header">impl Gone for <a class="struct" href="struct.Thing.html" title="struct oxilab_pages::x::Thing">Thing</a>&lt;u8&gt;</h3></section><section id="method.went" class="method trait-impl"><h4 class="code-header">fn <a href="#method.went" class="fn">went</a>(&amp;self)</h4></section></section></main></body></html>"##;

const ENUM: &str = r##"<main><pre class="rust item-decl"><code>pub enum En {
    A,
}</code></pre><h2 id="variants" class="variants section-header">Variants</h2><div class="variants"><section id="variant.A" class="variant"><h3 class="code-header">A</h3></section><div class="docblock"><p>First.</p></div><section id="variant.B" class="variant"><h3 class="code-header">B(<a class="primitive" href="p.html">i32</a>)</h3></section><section id="variant.C" class="variant"><h3 class="code-header">C</h3></section><div class="sub-variant" id="variant.C.fields"><h4>Fields</h4><div class="sub-variant-field"><span id="variant.C.field.x" class="section-header"><code>x: <a class="primitive" href="p.html">u8</a></code></span><span id="variant.C.field.y" class="section-header"><code>y: u8</code></span></div></div></div></main>"##;

const TRAIT: &str = r##"<main><pre class="rust item-decl"><code>pub trait Hidden {
    fn <a href="#tymethod.hid" class="fn">hid</a>(&amp;self) -&gt; u8;
}</code></pre><h2 id="required-methods" class="section-header">Required Methods</h2><div class="methods"><section id="tymethod.hid" class="method"><h4 class="code-header">fn <a href="#tymethod.hid" class="fn">hid</a>(&amp;self) -&gt; <a class="primitive" href="p.html">u8</a></h4></section><div class="docblock"><p>does it</p>
</div></div><h2 id="implementors" class="section-header">Implementors</h2><section id="impl-Hidden-for-Thing" class="impl"><h3 class="code-header">impl Hidden for Thing</h3></section><section id="method.no" class="method"><h4 class="code-header">fn <a class="fn">no</a>()</h4></section></main>"##;

#[test]
fn a_struct_has_fields_methods_and_traits() {
    let item = read("struct", STRUCT);
    assert!(item.declaration.starts_with("pub struct Thing {\n    pub a: i32,"), "{item:?}");
    assert_eq!(item.docs, "<p>A <code>thing</code>.</p>");
    let field = &item.members[0];
    assert_eq!((field.name.as_str(), field.signature.as_str()), ("a", "a: Bag"));
    assert_eq!((field.yields.as_str(), field.docs.as_str()), ("x::Bag", "<p>the a</p>"));

    let own = &item.impls[0];
    assert_eq!((own.header.as_str(), own.of_trait.as_str()), ("impl<T> x::Thing<T>", ""));
    let sorted = &own.members[0];
    assert_eq!(sorted.name, "sorted");
    assert_eq!(sorted.yields, "x::Thing<T>");
    assert!(sorted.signature.ends_with("-> Thing<T>\nwhere\n    F: Copy,"), "{sorted:?}");
    assert!(!sorted.unstable && own.members[1].unstable);
    assert_eq!(own.members.len(), 2, "methods of the target are the target's");

    let deref = &item.impls[1];
    assert_eq!(deref.of_trait, "core::ops::deref::Deref");
    assert_eq!(deref.types, [("Target".to_owned(), "alloc::vec::Vec<T>".to_owned())]);
    assert!(deref.members.is_empty(), "the trait's page has its methods");
    let gone = &item.impls[2];
    assert_eq!((gone.of_trait.as_str(), gone.members[0].name.as_str()), ("Gone", "went"));
}

#[test]
fn an_enum_has_variants_with_their_fields() {
    let item = read("enum", ENUM);
    let signatures: Vec<&str> = item.members.iter().map(|m| m.signature.as_str()).collect();
    assert_eq!(signatures, ["A", "B(i32)", "C { x: u8, y: u8 }"]);
    assert_eq!(item.members[0].docs, "<p>First.</p>");
}

#[test]
fn a_trait_has_its_own_methods_and_not_those_of_implementors() {
    let item = read("trait", TRAIT);
    assert_eq!(item.members.len(), 1);
    assert_eq!(item.members[0].yields, "u8");
    assert!(item.impls.is_empty());
}

#[test]
fn functions_aliases_and_constants_yield_types() {
    assert_eq!(
        return_type("pub fn a<F: Fn(u8) -> u8>(f: F) -> Vec<T>\nwhere\n    F: X,"),
        "Vec<T>"
    );
    assert_eq!(return_type("pub fn a(x: (u8, u8))"), "");
    assert_eq!(return_type("fn hid(&self) -> u8;"), "u8");
    assert_eq!(aliased("pub type R<T> = x::Result<T, E>;"), "x::Result<T, E>");
    assert_eq!(type_of_constant("pub const K: usize = 3;"), "usize");
}

#[test]
fn the_trait_of_an_impl_is_found_behind_its_generics() {
    assert_eq!(trait_of("impl<T, F: Fn(T) -> u8> a::B<T> for c::D<T>"), "a::B");
    assert_eq!(trait_of("impl x::Thing"), "");
    assert_eq!(trait_of("unsafe impl !a::Send for x::Thing"), "a::Send");
}

#[test]
fn what_is_no_page_is_an_empty_item() {
    assert_eq!(read("struct", "").members, []);
    assert_eq!(read("struct", "<main><section id=\"method").impls, []);
    assert_eq!(read("enum", "<main><section id=\"variant.é\" class=\"variant\">é").members, []);
}
