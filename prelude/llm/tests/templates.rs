//! Chat templates as the supported families bring them, shortened where they only serve tools: the prompts
//! are those that the models were trained with.

use std::path::Path;

use oxilab_llm::error::Result;
use oxilab_llm::text::ChatTemplate;
use oxilab_llm::{LlmError, Message};

fn template(name: &str, bos: &str, eos: &str) -> Result<ChatTemplate> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/templates");
    let source = std::fs::read_to_string(folder.join(format!("{name}.jinja"))).expect("committed");
    ChatTemplate::new(&source, bos, eos)
}

fn conversation() -> [Message; 4] {
    [
        Message::system(" Be brief. "),
        Message::user("One?"),
        Message::assistant("Two. "),
        Message::user(" And {x} <&> 'é'?"),
    ]
}

/// The prompt for the whole conversation, without its system message, and the first question and answer.
fn prompts(template: &ChatTemplate) -> Result<[String; 3]> {
    let all = conversation();
    Ok([
        template.render(&all, true)?,
        template.render(&all[1..], true)?,
        template.render(&all[1..3], false)?,
    ])
}

fn refusal(template: &ChatTemplate, messages: &[Message]) -> String {
    match template.render(messages, true) {
        Err(LlmError::Template(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn llama_3() -> Result<()> {
    let template = template("llama3", "<|begin_of_text|>", "<|eot_id|>")?;
    let head = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n\
                Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
    let turn = |role: &str, text: &str| {
        format!("<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>")
    };
    let open = "<|start_header_id|>assistant<|end_header_id|>\n\n";
    let (one, two) = (turn("user", "One?"), turn("assistant", "Two."));
    let and = turn("user", "And {x} <&> 'é'?");
    let expected = [
        format!("{head}Be brief.<|eot_id|>{one}{two}{and}{open}"),
        format!("{head}<|eot_id|>{one}{two}{and}{open}"),
        format!("{head}<|eot_id|>{one}{two}"),
    ];
    assert_eq!(prompts(&template)?, expected);
    // What a tool says is JSON as Python writes it.
    let said = [Message::user("2+2?"), Message::new("tool", "{\"sum\": 4} <é>")];
    let rest = format!(
        "{}<|start_header_id|>ipython<|end_header_id|>\n\n\"{{\\\"sum\\\": 4}} <é>\"<|eot_id|>",
        turn("user", "2+2?")
    );
    assert_eq!(template.render(&said, false)?, format!("{head}<|eot_id|>{rest}"));
    Ok(())
}

#[test]
fn qwen_2_5() -> Result<()> {
    let template = template("qwen2_5", "", "<|im_end|>")?;
    let turn = |role: &str, text: &str| format!("<|im_start|>{role}\n{text}<|im_end|>\n");
    let open = "<|im_start|>assistant\n";
    let own =
        turn("system", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.");
    let (brief, one) = (turn("system", " Be brief. "), turn("user", "One?"));
    let (two, and) = (turn("assistant", "Two. "), turn("user", " And {x} <&> 'é'?"));
    let expected = [
        format!("{brief}{one}{two}{and}{open}"),
        format!("{own}{one}{two}{and}{open}"),
        format!("{own}{one}{two}"),
    ];
    assert_eq!(prompts(&template)?, expected);
    let [_, one, two, _] = conversation();
    let tools =
        [one, two, Message::new("tool", "4"), Message::new("tool", "5"), Message::user("?")];
    let expected = format!(
        "{own}{}{}<|im_start|>user\n<tool_response>\n4\n</tool_response>\n<tool_response>\n5\n\
         </tool_response><|im_end|>\n{}",
        turn("user", "One?"),
        turn("assistant", "Two. "),
        turn("user", "?")
    );
    assert_eq!(template.render(&tools, false)?, expected);
    Ok(())
}

#[test]
fn qwen_3_leaves_out_what_was_thought_before_the_last_question() -> Result<()> {
    let template = template("qwen3", "", "<|im_end|>")?;
    let turn = |role: &str, text: &str| format!("<|im_start|>{role}\n{text}<|im_end|>\n");
    let thought = Message::assistant("<think>\nHm.\n</think>\n\nTwo.");
    let [brief, one, _, and] = conversation();
    let prompt = template.render(&[brief, one.clone(), thought.clone(), and], true)?;
    let expected = [
        turn("system", " Be brief. "),
        turn("user", "One?"),
        turn("assistant", "Two."),
        turn("user", " And {x} <&> 'é'?"),
        "<|im_start|>assistant\n".to_owned(),
    ];
    assert_eq!(prompt, expected.concat());
    let whole = turn("assistant", "<think>\nHm.\n</think>\n\nTwo.");
    assert_eq!(template.render(&[one.clone(), thought], false)?, turn("user", "One?") + &whole);
    let bare = turn("assistant", "<think>\n\n</think>\n\nTwo.");
    let answered = template.render(&[one, Message::assistant("Two.")], false)?;
    assert_eq!(answered, turn("user", "One?") + &bare);
    Ok(())
}

#[test]
fn mistral() -> Result<()> {
    let template = template("mistral", "<s>", "</s>")?;
    let expected = [
        "<s>[INST] One?[/INST] Two.</s>[INST]  Be brief. \n\n And {x} <&> 'é'?[/INST]",
        "<s>[INST] One?[/INST] Two.</s>[INST]  And {x} <&> 'é'?[/INST]",
        "<s>[INST] One?[/INST] Two.</s>",
    ];
    assert_eq!(prompts(&template)?, expected);
    let [brief, one, two, _] = conversation();
    let said = [one.clone(), Message::new("tool", "4"), two.clone()];
    let expected = "<s>[INST] One?[/INST][TOOL_RESULTS] {\"content\": 4}[/TOOL_RESULTS] Two.</s>";
    assert_eq!(template.render(&said, true)?, expected);
    assert!(refusal(&template, &[one.clone(), one.clone()]).contains("must alternate"));
    assert!(refusal(&template, &[brief, two]).contains("must alternate"));
    let other = refusal(&template, &[one, Message::new("narrator", "Then it rained.")]);
    assert!(other.contains("Only user and assistant roles"), "{other}");
    Ok(())
}

#[test]
fn gemma() -> Result<()> {
    let template = template("gemma", "<bos>", "<eos>")?;
    let turn = |role: &str, text: &str| format!("<start_of_turn>{role}\n{text}<end_of_turn>\n");
    let [brief, one, two, and] = conversation();
    let told = format!("<bos>{}{}", turn("user", "One?"), turn("model", "Two."));
    assert_eq!(template.render(&[one.clone(), two.clone()], false)?, told);
    let asked = turn("user", "And {x} <&> 'é'?") + "<start_of_turn>model\n";
    assert_eq!(template.render(&[one.clone(), two, and], true)?, told + &asked);
    assert!(refusal(&template, &[brief, one.clone()]).contains("System role not supported"));
    assert!(refusal(&template, &[one.clone(), one]).contains("must alternate"));
    Ok(())
}

#[test]
fn phi_3() -> Result<()> {
    let template = template("phi3", "<s>", "<|endoftext|>")?;
    let turn = |role: &str, text: &str| format!("<|{role}|>\n{text}<|end|>\n");
    let (one, two) = (turn("user", "One?"), turn("assistant", "Two. "));
    let and = turn("user", " And {x} <&> 'é'?");
    let brief = turn("system", " Be brief. ");
    let expected = [
        format!("{brief}{one}{two}{and}<|assistant|>\n"),
        format!("{one}{two}{and}<|assistant|>\n"),
        format!("{one}{two}<|endoftext|>"),
    ];
    assert_eq!(prompts(&template)?, expected);
    Ok(())
}
