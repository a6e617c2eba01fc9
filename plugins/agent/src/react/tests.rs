//! What models write, and what is read of it.

use dify_plugin::serde_json::{Value, json};
use proptest::prelude::*;

use super::parser::{Action, Outcome, Parser, Turn};

const TOOLS: [&str; 2] = ["search", "get_time"];

/// The answer that was passed on at once, and the end.
fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, Turn) {
    let mut parser = Parser::new(TOOLS);
    let answer = pieces.into_iter().map(|piece| parser.push(piece)).collect();
    (answer, parser.finish())
}

fn read(text: &str) -> (String, Turn) {
    read_pieces([text])
}

fn action(text: &str) -> Option<(String, Value)> {
    match read(text) {
        (answer, Turn { outcome: Outcome::Action(Action { name, input }), .. }) if answer.is_empty() => {
            Some((name, input))
        }
        _ => None,
    }
}

fn answer(text: &str) -> Option<String> {
    match read(text) {
        (begun, Turn { outcome: Outcome::Answer(rest), .. }) => Some(begun + &rest),
        _ => None,
    }
}

/// Every form of an action that was seen, with what it is.
const ACTIONS: &[(&str, &str)] = &[
    // As the prompt asks for it.
    ("Thought: I need it.\nAction: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    (
        "Action: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}\nObservation: made up\nFinalAnswer: b",
        r#"{"query":"a"}"#,
    ),
    ("Thought: x Action: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    // Fences, emphasis, spelling.
    ("Action:\n```json\n{\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}\n```\n", r#"{"query":"a"}"#),
    ("Action:\n```\n{\n  \"action\": \"search\",\n  \"action_input\": {\"query\": \"a\"}\n}\n```", r#"{"query":"a"}"#),
    ("Action: ```json {\"action\": \"search\", \"action_input\": {}}```", "{}"),
    ("**Thought:** x\n**Action:** {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    ("**Action**: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    ("### ACTION：{\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    // A list of one, other members, wrappers (official#3703).
    ("Action: [{\"tool_name\": \"search\", \"parameters\": {\"query\": \"a\"}}]", r#"{"query":"a"}"#),
    ("Action: {\"tool_call\": {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}}", r#"{"query":"a"}"#),
    (
        "Action: {\"tool_calls\": [{\"function\": {\"name\": \"search\", \"arguments\": \"{\\\"query\\\": \\\"a\\\"}\"}}]}",
        r#"{"query":"a"}"#,
    ),
    ("Action: {\"Action\": \"search\", \"Action Input\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    ("Action: {\"action\": {\"name\": \"search\", \"input\": {\"query\": \"a\"}}}", r#"{"query":"a"}"#),
    ("Action: {\"search\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    ("Action: {\"action\": \"search\"}", "{}"),
    ("Action: {\"action\": \"search\", \"action_input\": null}", "{}"),
    ("Action: {\"action\": \"search\", \"action_input\": \"a\"}", r#""a""#),
    // A name and an input on lines of their own.
    ("Action: search\nAction Input: {\"query\": \"a\"}\nObservation: made up", r#"{"query":"a"}"#),
    ("Action: `search`\nAction_Input:\n```json\n{\"query\": \"a\"}\n```", r#"{"query":"a"}"#),
    (
        "Action: search\n\n**Action Input:** the weather: now\nand later\nObservation: made up",
        r#""the weather: now\nand later""#,
    ),
    ("Action: search\nActionInput: \"a\"", r#""a""#),
    ("Action: search\n{\"query\": \"a\"}", r#"{"query":"a"}"#),
    ("Action: search\n", "{}"),
    ("Action: search", "{}"),
    ("Action:\nsearch\nAction Input: {}", "{}"),
    ("Action: search\nObservation: made up", "{}"),
    ("Action: search({\"query\": \"a\"})", r#"{"query":"a"}"#),
    ("Action: search {\"query\": \"a\"}", r#"{"query":"a"}"#),
    ("Action: search[the weather]", r#""the weather""#),
    // JSON alone, on a line of its own (dify#30966).
    ("{\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    ("{\"thought\": \"x\", \"action\": \"search\", \"action_input\": {\"query\": \"a\"}}", r#"{"query":"a"}"#),
    ("Thought: x\n```json\n{\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}\n```", r#"{"query":"a"}"#),
    (
        "Thought: x\n{\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}\nObservation: made up\nFinalAnswer: b",
        r#"{"query":"a"}"#,
    ),
    // The marked action wins over JSON in a thought (official#3861).
    (
        "Thought: for example {\"action\": \"get_time\", \"action_input\": {}}\nAction: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}",
        r#"{"query":"a"}"#,
    ),
    (
        "Thought: for example\n{\"action\": \"get_time\", \"action_input\": {}}\nAction: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}",
        r#"{"query":"a"}"#,
    ),
    (
        "Thought: the input is {\"query\": \"b\"}.\nAction: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}",
        r#"{"query":"a"}"#,
    ),
    (
        "Thought: a bracket\n{ that stays open\nAction: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}",
        r#"{"query":"a"}"#,
    ),
    (
        "Action: none needed, but\nAction: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}",
        r#"{"query":"a"}"#,
    ),
    // Brackets and markers within strings, line breaks within strings, brackets that are missing.
    (
        "Action: {\"action\": \"search\", \"action_input\": {\"query\": \"} \\\" { FinalAnswer: x\\nAction: y\"}}",
        r#"{"query":"} \" { FinalAnswer: x\nAction: y"}"#,
    ),
    (
        "Action: {\"action\": \"search\", \"action_input\": {\"query\": \"two\nlines\tand a tab\"}}",
        r#"{"query":"two\nlines\tand a tab"}"#,
    ),
    ("Action: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"", r#"{"query":"a"}"#),
    (
        "Action: {\"action\": \"search\", \"action_input\": {\"query\": {\"deep\": [[1], {\"b\": {}}]}}}",
        r#"{"query":{"deep":[[1],{"b":{}}]}}"#,
    ),
];

/// Every form of an answer.
const ANSWERS: &[(&str, &str)] = &[
    ("Thought: x\nFinalAnswer: It is 42.", "It is 42."),
    ("Thought: x\nFinal Answer: It is\n\n42.\n", "It is\n\n42."),
    ("Thought: x FinalAnswer: 42", "42"),
    ("**Final Answer:** 42", "42"),
    ("**Final Answer**: 42", "42"),
    ("Final Answer: **42** it is", "**42** it is"),
    ("final_answer：42", "42"),
    // After the answer has begun there is no action (official#3703).
    (
        "FinalAnswer: Use\n{\"action\": \"search\", \"action_input\": {}}\nAction: {\"action\": \"search\"}",
        "Use\n{\"action\": \"search\", \"action_input\": {}}\nAction: {\"action\": \"search\"}",
    ),
    ("Action: {\"action\": \"Final Answer\", \"action_input\": \"42\"}", "42"),
    ("Action: {\"action\": \"final_answer\", \"action_input\": {\"answer\": \"42\"}}", "42"),
    ("Action: Final Answer\nAction Input: It is 42.", "It is 42."),
    ("{\"action\": \"Final Answer\", \"action_input\": \"42\"}", "42"),
    ("Action: none needed.\nFinalAnswer: 42", "42"),
    ("Thought: for example\n{\"action\": \"search\", \"action_input\": {}}\nFinalAnswer: 42", "42"),
    // Models that follow no format.
    ("It is 42.", "It is 42."),
    ("Thought: It is 42.", "It is 42."),
    ("The action: it {is} 42.", "The action: it {is} 42."),
    ("My actions:\n- Action items: none", "My actions:\n- Action items: none"),
    ("{\"a\": 1}", "{\"a\": 1}"),
    ("{\"action\": \"unknown\", \"action_input\": {}}", "{\"action\": \"unknown\", \"action_input\": {}}"),
    ("{ not json", "{ not json"),
    ("So the final answer: 42, and the action input: none", "So the final answer: 42, and the action input: none"),
    ("", ""),
    ("Observation: x", "x"),
];

#[test]
fn actions_are_read_in_every_form() {
    for (text, input) in ACTIONS {
        let input: Value = dify_plugin::serde_json::from_str(input).unwrap();
        assert_eq!(action(text), Some(("search".to_owned(), input)), "{text}\n{:?}", read(text));
    }
}

#[test]
fn answers_are_read_in_every_form() {
    for (text, expected) in ANSWERS {
        assert_eq!(answer(text).as_deref(), Some(*expected), "{text}\n{:?}", read(text));
    }
}

#[test]
fn an_unknown_tool_that_is_marked_as_an_action_is_an_action() {
    assert_eq!(action("Action: {\"action\": \"fly\", \"action_input\": {}}"), Some(("fly".to_owned(), json!({}))));
}

/// official#3699: a round does not end silently when the action cannot be read.
#[test]
fn an_action_that_cannot_be_read_is_reported() {
    let rows = [
        "Action: {\"action\": \"search\", \"action_input\": {\"query\": \"cut o",
        "Action: {'action': 'search'}",
        "Action: {\"a\": 1, \"b\": 2}",
        "Action: [1, 2]",
        "Action: {\"action\": \"search\" \"action_input\": {}}",
        "Thought: I will search. \nAction_input: {\"query\": \"a\"}",
        "Action Input: {\"query\": \"a\"}",
    ];
    for text in rows {
        let (_, turn) = read(text);
        assert!(matches!(turn.outcome, Outcome::Malformed(_)), "{text}: {turn:?}");
    }
}

#[test]
fn thoughts_are_kept() {
    let (_, turn) = read("Thought: I {need} it\nnow.\nAction: {\"action\": \"search\"}");
    assert_eq!(turn.thought, "I {need} it\nnow.");
    let (_, turn) = read("Thought: easy\nFinalAnswer: 42");
    assert_eq!(turn.thought, "easy");
}

#[test]
fn an_answer_is_passed_on_as_it_comes() {
    let mut parser = Parser::new(TOOLS);
    assert_eq!(parser.push("Thought: x\nFinal"), "");
    assert_eq!(parser.push("Answer: It"), "It");
    assert_eq!(parser.push(" is "), " is");
    assert_eq!(parser.push("42."), " 42.");
}

/// All text of the tables, and what may be made of its pieces.
fn texts() -> impl Strategy<Value = String> {
    let known: Vec<String> = ACTIONS.iter().chain(ANSWERS).map(|(text, _)| (*text).to_owned()).collect();
    let pieces = [
        "Thought:",
        "Action:",
        "Action Input:",
        "Observation:",
        "FinalAnswer:",
        "Final Answer:",
        "\n",
        " ",
        "**",
        "```json\n",
        "```",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "search",
        "{\"action\": \"search\", \"action_input\": ",
        "é",
        "：",
        "a b",
    ];
    prop_oneof![
        proptest::sample::select(known),
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..24).prop_map(|pieces| pieces.concat()),
        "(?s).{0,60}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_split_of_a_response_is_read_alike(text in texts(), cuts in proptest::collection::vec(0_usize..400, 0..8)) {
        let (begun, turn) = read(&text);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut.min(text.len()))).collect();
        cuts.sort_unstable();
        let bounds: Vec<usize> = [0].into_iter().chain(cuts).chain([text.len()]).collect();
        let (split, split_turn) = read_pieces(bounds.windows(2).map(|pair| &text[pair[0]..pair[1]]));
        prop_assert_eq!((&begun, &turn), (&split, &split_turn));
        let characters: Vec<String> = text.chars().map(String::from).collect();
        let (single, single_turn) = read_pieces(characters.iter().map(String::as_str));
        prop_assert_eq!((begun, turn), (single, single_turn));
    }
}

/// Texts that would be read again and again if a parser started over at each bracket or marker: twice the text takes about
/// twice the steps. Steps are counted as the characters that the parser takes.
#[test]
fn the_time_is_proportional_to_the_text() {
    for piece in
        ["\n{", "Action: {", "\nAction: x y\n", "FinalAnswer", "\n**", "Action: ", "\nAction:\n```", "[", "{\"a\":"]
    {
        let steps = |count: usize| {
            let mut parser = Parser::new(TOOLS);
            parser.push(&piece.repeat(count));
            parser.steps_to_finish()
        };
        let (once, twice) = (steps(2_000), steps(4_000));
        assert!(twice <= once * 2 + 200, "{piece:?}: {once} and {twice} steps");
    }
}
