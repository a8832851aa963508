//! What notebook 06 does, as a program: `cargo run --release -p oxilab-llm --example blue_lantern`.

use oxilab_llm::error::Result;
use oxilab_llm::{Example, Llm, Lora, Message, Sampling, SftTrainer, models};

fn main() -> Result<()> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../notebooks/data");
    let train = Example::from_jsonl(format!("{data}/blue-lantern-train.jsonl"))?;
    let test = Example::from_jsonl(format!("{data}/blue-lantern-test.jsonl"))?;
    let mut llm = Llm::load(models::smollm2()?)?;
    let started = std::time::Instant::now();
    let history = SftTrainer::new(Lora::new(8))
        .with_epochs(3)
        .with_batch_size(4)
        .with_learning_rate(2e-3)
        .with_evaluation(&test)
        .quiet()
        .fit(&mut llm, &train)?;
    println!("{:?} in {:?}", history.metric("valid_loss"), started.elapsed());
    let peak = oxilab_nn::memory::peak_resident().unwrap_or(0);
    println!("peak memory {} MB", oxilab_nn::memory::megabytes(peak));
    for example in &test {
        let Example::Chat { messages } = example else { continue };
        let asked: Vec<Message> = messages[..2].to_vec();
        let said = llm.answer(&asked, &Sampling::greedy().with_max_tokens(40))?;
        println!("{} → {} ({:.1} tokens/s)", asked[1].content, said.text, said.tokens_per_second());
    }
    Ok(())
}
