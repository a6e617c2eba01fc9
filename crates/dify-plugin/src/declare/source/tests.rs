//! Paths to lines and columns, also in files that an attacker wrote.

use std::time::{Duration, Instant};

use super::*;

const TEXT: &str = "\
# A comment
identity:
  name: acme
  label: {en_US: Acme,
    zh_Hans: 顶}
tools:
- a
- parameters:
    - name: x
      type: string

    -
      name: y
  1: one
flag:
  true
models:
  gpt-4.1:
    chat: {max: \"1\"}
same: &same
  a: 1
again: *same
";

fn shown(source: &Source, range: Range<usize>) -> String {
    let Position { line, column } = source.position(range.start);
    format!("{line}:{column} {}", &source.text()[range])
}

#[test]
fn a_path_has_the_place_of_its_value_or_key() {
    let source = Source::new(TEXT);
    for (path, value, key) in [
        ("identity", "2:1 identity", "2:1 identity"),
        ("identity.name", "3:9 acme", "3:3 name"),
        ("identity.label", "4:3 label", "4:3 label"),
        ("identity.label.zh_Hans", "5:14 顶", "5:5 zh_Hans"),
        ("tools[0]", "7:3 a", "7:3 a"),
        ("tools[1]", "8:3 parameters", "8:3 parameters"),
        ("tools[1].parameters[0].type", "10:13 string", "10:7 type"),
        ("tools[1].parameters[1]", "13:7 name", "13:7 name"),
        ("flag", "16:3 true", "15:1 flag"),
        ("models.gpt-4.1.chat.max", "19:17 \"1\"", "19:12 max"),
        // What is not there has the place of what contains it.
        ("identity.icon", "2:1 identity", "2:1 identity"),
        ("identity.name.en_US", "3:3 name", "3:3 name"),
        ("identity[3]", "2:1 identity", "2:1 identity"),
        ("tools[1].parameters[1].type", "13:7 name", "13:7 name"),
        ("tools[5].name", "6:1 tools", "6:1 tools"),
        ("tools.name", "6:1 tools", "6:1 tools"),
        ("models.gpt-4", "17:1 models", "17:1 models"),
        // What is below an alias has the place of the alias.
        ("again", "22:8 *same", "22:1 again"),
        ("again.a", "22:1 again", "22:1 again"),
    ] {
        let place = source.locate(path).unwrap();
        assert_eq!(shown(&source, place.of_value()), value, "{path}");
        assert_eq!(shown(&source, place.of_key()), key, "{path}");
    }
    for path in ["none", "", "[0]", "."] {
        assert_eq!(source.locate(path), None, "{path}");
    }
    assert_eq!(Source::new("a: [").locate("a"), None);
    assert_eq!(Source::new("- a\n- b\n").line_of("[1]"), Some(2));
}

#[test]
fn the_variable_is_that_of_the_list_item() {
    let source =
        Source::new("name: plugin\nfields:\n- {variable: 'key', name: n, options: [{value: a}]}\n- name: other\n- a\n");
    for (path, variable) in [
        ("name", None),
        ("fields", None),
        ("fields[0].type", Some("key")),
        ("fields[0].options[0].value", Some("key")),
        ("fields[1].name", Some("other")),
        ("fields[2]", None),
    ] {
        assert_eq!(source.locate(path).unwrap().variable.as_deref(), variable, "{path}");
    }
}

#[test]
fn keys_that_are_there_twice_are_all_found() {
    let source =
        Source::new("a: 1\nb: {c: 1, c: 2, c: 3}\na: 2\nextra: {x: 1, x: 2}\nd:\n- {e: 1, extra: {f: 1, f: 2}}\n");
    let found: Vec<String> = source
        .repeated_keys()
        .iter()
        .map(|key| {
            let first = source.position(key.first.start);
            format!("{} {} after {}:{}", key.path, shown(&source, key.again.clone()), first.line, first.column)
        })
        .collect();
    assert_eq!(
        found,
        ["b.c 2:11 c after 2:5", "b.c 2:17 c after 2:5", "a 3:1 a after 1:1", "d[0].extra.f 6:24 f after 6:18"]
    );
}

#[test]
fn columns_are_code_points_whatever_the_line_ends() {
    for (text, path, position) in [
        ("\u{feff}a: 1\nb: 2", "b", (2, 4)),
        ("a: 1\r\nb: 2\r\n", "b", (2, 4)),
        ("ä漢😀: x", "ä漢😀", (1, 6)),
        ("{漢漢: 1, b: 2}", "b", (1, 12)),
        ("a: \"\\u00e9\\t\"\nb:\t2", "b", (2, 4)),
    ] {
        let source = Source::new(text);
        let place = source.locate(path).unwrap();
        let found = source.position(place.value.start);
        assert_eq!((found.line, found.column), position, "{text:?}");
        assert_eq!(source.byte(found), place.value.start, "{text:?}");
    }
    let long = format!("a: {}\nb: x", "漢".repeat(100_000));
    let source = Source::new(&long);
    assert_eq!(source.position(source.text().len()), Position { line: 2, column: 5 });
    assert_eq!(source.position(4 + 3 * 99_999 - 1), Position { line: 1, column: 100_003 });
    for line in [0, 1, 2, 3, 99] {
        let range = source.line_range(line);
        assert!(source.text().get(range).is_some_and(|line| !line.contains('\n')), "{line}");
    }
}

#[test]
fn hostile_files_cost_no_more_than_their_length() {
    let many: String = (0..60_000).map(|number| format!("k{number}: 1\n")).collect();
    let deep: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for text in [
        format!("a: {}", "x".repeat(1_000_000)),
        format!("a: '{}'", "漢".repeat(300_000)),
        "- a\n".repeat(200_000),
        "\u{1b}]0;\u{7}\n".repeat(100_000),
        "a: &a [*a, *a]\n".repeat(50_000),
        format!("a: {}", "[".repeat(60)),
        deep,
        many,
    ] {
        let start = Instant::now();
        let source = Source::new(&text);
        for number in 0..2_000 {
            if let Some(place) = source.locate(&format!("k{number}.a.a[{number}]")) {
                source.position(place.value.end);
            }
            source.position(text.len().saturating_sub(number));
        }
        source.repeated_keys();
        source.mistake();
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}: {:?}", &text[..10], start.elapsed());
    }
}
