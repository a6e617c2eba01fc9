//! Permissions of CI and release workflows: which code runs with which permissions and secrets.

use std::path::Path;

use serde_json::Value;

fn workflows() -> Vec<(String, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<(String, Value)> = files
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), serde_yaml::from_str(&text).unwrap())
        })
        .collect();
    found.sort_by(|(left, _), (right, _)| left.cmp(right));
    found
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

fn steps(job: &Value) -> &[Value] {
    job["steps"].as_array().unwrap()
}

#[test]
fn pins_actions_by_commit() {
    for (name, workflow) in workflows() {
        for (job, value) in jobs(&workflow) {
            for action in steps(value).iter().filter_map(|step| step["uses"].as_str()) {
                let commit = action.split_once('@').unwrap().1;
                let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(is_commit, "{name}/{job}: {action}");
            }
        }
    }
}

#[test]
fn build_jobs_have_no_secrets_and_no_write_permission() {
    let mut with_secrets = Vec::new();
    for (name, workflow) in workflows() {
        for (job, value) in jobs(&workflow) {
            let text = value.to_string();
            let permissions = value.get("permissions").or(workflow.get("permissions")).unwrap().to_string();
            let builds = ["cargo", "pip", "apt", ".ci/run", "actions/checkout"].iter().any(|word| text.contains(word));
            let has_secret = text.contains("secrets.");
            assert!(!(builds && (has_secret || permissions.contains("write"))), "{name}/{job}");
            assert!(!(has_secret && permissions.contains("write")), "{name}/{job}: a key beside rights");
            if has_secret {
                with_secrets.push(format!("{name}/{job}"));
            }
            for step in
                steps(value).iter().filter(|step| step["uses"].as_str().is_some_and(|uses| uses.contains("checkout")))
            {
                assert_eq!(step["with"]["persist-credentials"], false, "{name}/{job}");
            }
        }
    }
    assert_eq!(with_secrets, ["release/sign"]);
}

#[test]
fn tests_a_release_and_verifies_its_tools_by_hash() {
    let workflows = workflows();
    let names: Vec<&str> = workflows.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ci", "release"]);
    let [(_, ci), (_, release)] = workflows.as_slice() else { panic!("{names:?}") };
    assert!(ci["on"].get("pull_request").is_some() && ci["on"]["push"].get("branches").is_some());
    assert!(ci.to_string().contains(".ci/run"));
    let before = |job: &str| release["jobs"][job]["needs"].as_str().unwrap();
    assert_eq!([before("publish"), before("sign"), before("build")], ["sign", "build", "test"]);
    assert!(release["jobs"]["test"].to_string().contains(".ci/run"));
    for install in release.to_string().split("pip install").skip(1) {
        assert!(install.starts_with(" --user --require-hashes"), "{install}");
    }
    let tools =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/release-tools.txt")).unwrap();
    for tool in tools.lines().filter(|line| !line.starts_with('#')) {
        assert!(tool.contains("==") && tool.contains(" --hash=sha256:"), "{tool}");
    }
    for install in release.to_string().split("cargo install").skip(1) {
        assert!(install.starts_with(" --locked") && install.split('\\').next().unwrap().contains('@'), "{install}");
    }
}

#[test]
fn a_release_says_what_it_is_made_of_and_by_which_workflow() {
    let workflows = workflows();
    let (_, release) = workflows.iter().find(|(name, _)| name == "release").unwrap();
    let commands: Vec<&str> = steps(&release["jobs"]["build"]).iter().filter_map(|step| step["run"].as_str()).collect();
    let bills = commands.iter().position(|command| command.contains("cargo cyclonedx")).unwrap();
    let packages = commands.iter().position(|command| command.contains(" package ")).unwrap();
    assert!(bills > packages && commands[bills].contains("dist/"), "{}", commands[bills]);
    // Of the executables in packages, which are built without default features.
    assert!(commands[bills].contains("--no-default-features") && commands[bills].contains("--target"));
    let publish = steps(&release["jobs"]["publish"]);
    let is_attested = |step: &Value| step["uses"].as_str().is_some_and(|uses| uses.contains("attest-build-provenance"));
    assert!(publish.iter().any(|step| is_attested(step) && step["with"]["subject-path"] == "dist/*"));
}
