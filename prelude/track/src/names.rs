//! [`random`]: a name for a run that was given none, as MLflow gives them: `quiet-heron-271`.

const FIRST: [&str; 24] = [
    "amber", "brisk", "calm", "clear", "eager", "fair", "gentle", "glad", "keen", "kind", "light",
    "lucky", "merry", "mild", "neat", "plain", "proud", "quick", "quiet", "rapid", "sharp",
    "still", "swift", "warm",
];
const SECOND: [&str; 24] = [
    "badger", "crane", "crow", "deer", "dove", "eagle", "falcon", "finch", "fox", "hare", "hawk",
    "heron", "lark", "lynx", "mole", "otter", "owl", "raven", "robin", "seal", "swan", "trout",
    "wolf", "wren",
];

pub(crate) fn random() -> String {
    let bits = uuid::Uuid::new_v4().as_u128();
    let pick = |from: &[&'static str; 24], bits: u128| from[(bits % 24) as usize];
    format!("{}-{}-{}", pick(&FIRST, bits), pick(&SECOND, bits >> 16), (bits >> 32) % 1000)
}
