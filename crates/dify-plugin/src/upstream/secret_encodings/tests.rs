//! Which bytes of a text are found as encodings of a form.

use proptest::prelude::*;

use super::*;

/// Returns the parts of a text that are found.
fn found<'a>(text: &'a str, forms: &[String]) -> Vec<&'a str> {
    find(text.as_bytes(), forms).into_iter().map(|range| &text[range]).collect()
}

#[test]
fn finds_complete_and_truncated_forms() {
    let forms = ["secret-of-mine+1".to_owned(), "%41%42-of-mine".to_owned(), r"a\b-of-mine".to_owned()];
    for (text, expected) in [
        ("secret-of-mine+1", vec!["secret-of-mine+1"]),
        ("a secret-of-mine 1 b", vec!["secret-of-mine 1"]),
        ("secret%2Dof-mine%2b1, secret-of-mine%201", vec!["secret%2Dof-mine%2b1", "secret-of-mine%201"]),
        ("secret-of-mine", vec!["secret-of-mine"]),
        ("secret-of-… secret-of-...", vec!["secret-of-", "secret-of-"]),
        ("secret-o is not all, secret-", vec![]),
        ("%41%42-of-mine %2541%2542-of-mine", vec!["%41%42-of-mine", "%2541%2542-of-mine"]),
        (
            r"a\b-of-mine a\\b-of-mine a\\\\b-of-mine a%5Cb-of-mine",
            vec![r"a\b-of-mine", r"a\\b-of-mine", r"a\\\\b-of-mine", "a%5Cb-of-mine"],
        ),
        (r"s\u0065cret-of-mine\u002b1", vec![r"s\u0065cret-of-mine\u002b1"]),
        ("\\u %4 %zz \\ud83d \\ud83d\\ude00 \\", vec![]),
    ] {
        assert_eq!(found(text, &forms), expected, "{text}");
    }
}

#[test]
fn finds_a_form_at_every_position_of_a_long_text() {
    let forms = ["secret-of-mine".to_owned(), "long".repeat(MAX_FORM_BYTES)];
    for at in (WINDOW - MAX_FORM_BYTES - 18..WINDOW - MAX_FORM_BYTES + 3).chain(WINDOW - 18..WINDOW + 3).step_by(3) {
        let text = format!("{}secret-of-mine{}", "x".repeat(at), "y".repeat(100));
        assert_eq!(find(text.as_bytes(), &forms[..1]), std::slice::from_ref(&(at..at + 14)), "{at}");
    }
    let text = format!("{}{}{}", "x".repeat(5000), forms[1], "y".repeat(5000));
    let ranges = find(text.as_bytes(), &forms);
    assert_eq!(ranges.iter().map(|range| range.len()).sum::<usize>(), forms[1].len(), "{ranges:?}");
}

proptest! {
    #[test]
    fn finds_the_same_as_an_exhaustive_search(
        text in "[ab]{0,60}",
        forms in prop::collection::vec("[ab]{8,14}", 1..4),
        extent in prop_oneof![Just(Extent::Whole), Just(Extent::Beginning)],
    ) {
        let mut search = Search::of(text.as_bytes());
        forms.iter().for_each(|form| search.add(form.as_bytes(), extent));
        let mut expected = Vec::new();
        for (form, start) in forms.iter().flat_map(|form| (0..text.len()).map(move |start| (form, start))) {
            let same = form.bytes().zip(text[start..].bytes()).take_while(|(ours, theirs)| ours == theirs).count();
            let shows = extent == Extent::Beginning || same == form.len() || start + same == text.len();
            if same >= MIN_SECRET_BYTES && shows {
                expected.push(start..start + same);
            }
        }
        prop_assert_eq!(merged(search.found()), merged(expected));
    }
}

#[test]
#[cfg(debug_assertions)]
fn searches_long_texts_in_linear_time() {
    for text in ["A", "secret-of-", "secret-of-mine ", "%41", "\\"] {
        let forms = ["A".repeat(4000) + "B", "secret-of-mine".to_owned()];
        steps::assert_linear(text, |size| text.repeat(size), |text| drop(find(text.as_bytes(), &forms)));
    }
}
