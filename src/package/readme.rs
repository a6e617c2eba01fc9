//! The README of one provider's package: of the repository's README, the section that is for this provider's users. It
//! writes nothing of its own.

/// The section below `## heading`, as a page of its own: its headings one level up, links to other sections as text.
pub fn section(readme: &str, heading: &str) -> Option<String> {
    let mut lines =
        readme.lines().skip_while(|line| line.strip_prefix("## ").is_none_or(|title| title.trim() != heading));
    let mut page = vec![lines.next()?.trim_start_matches('#').trim().to_owned()];
    page[0].insert_str(0, "# ");
    let mut in_code = false;
    for line in lines {
        in_code ^= line.trim_start().starts_with("```");
        if !in_code && (line.starts_with("## ") || line.starts_with("# ")) {
            break;
        }
        let up = if !in_code && line.starts_with("###") { &line[1..] } else { line };
        page.push(without_anchors(up));
    }
    Some(page.join("\n").trim_end().to_owned() + "\n")
}

/// Links into the page that this one was cut from lead nowhere.
fn without_anchors(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("](#") {
        let (before, link) = rest.split_at(at);
        let (Some(open), Some(close)) = (before.rfind('['), link.find(')')) else { break };
        shown.push_str(&before[..open]);
        shown.push_str(&before[open + 1..]);
        rest = &link[close + 1..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_becomes_a_page() {
        let readme = "# All\n\n## One\n\nText, [what](#two) and [that](https://x).\n\n```\n## no heading\n```\n\n### Part\n\nmore\n\n## Two\n\nother\n";
        let page = section(readme, "One").unwrap();
        assert_eq!(page, "# One\n\nText, what and [that](https://x).\n\n```\n## no heading\n```\n\n## Part\n\nmore\n");
        assert_eq!(section(readme, "Two").unwrap(), "# Two\n\nother\n");
        assert_eq!(section(readme, "Three"), None);
    }
}
