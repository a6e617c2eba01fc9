//! The loop with a shell script for Cargo, and plugins that log their starts. Nothing is measured in time.

use std::path::Path;
use std::time::Duration;

use super::*;

/// Builds `weather`, unless a source contains BROKEN: a plugin that logs its start with the number of its build.
const CARGO: &str = r#"
cd "$1"
echo build >> log
while [ -e hold ]; do sleep 0.02; done
grep -q BROKEN src/main.rs && exit 101
number=$(grep -c build log)
mkdir -p target
sed "s/NUMBER/$number/" plugin.sh > target/new
chmod +x target/new
mv target/new target/weather
echo '{"reason":"compiler-artifact","package_id":"path+file:///x","manifest_path":"'$1'/dependency/Cargo.toml","target":{"name":"dependency","kind":["lib"]},"executable":null}'
echo 'a build script prints this'
echo '{"reason":"compiler-artifact","package_id":"path+file:///y","manifest_path":"'$1'/Cargo.toml","target":{"name":"weather","kind":["bin"]},"executable":"'$1'/target/weather","fresh":false}'
"#;

const PLUGIN: &str = r#"#!/bin/sh
directory=$(dirname "$0")/../../..
case "$1" in
check) ! grep -q BROKEN "$2/manifest.yaml" ;;
debug)
    echo "start NUMBER $$ $REMOTE_INSTALL_KEY $*" >> "$directory/log"
    [ -e "$directory/crash" ] && rm "$directory/crash" && exit 3
    exec sleep 1000 ;;
esac
"#;

const TIMEOUT: Duration = Duration::from_secs(180);

struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let project = Self { directory: tempfile::tempdir().unwrap() };
        for directory in ["src", "dependency/src", "target"] {
            std::fs::create_dir_all(project.path().join(directory)).unwrap();
        }
        project.save("src/main.rs", "1");
        project.save("Cargo.toml", "");
        project.save("manifest.yaml", "a: 1");
        project.save("cargo.sh", CARGO);
        project.save("plugin.sh", PLUGIN);
        project.save("log", "");
        project.save(".env", "REMOTE_INSTALL_KEY=key-1\n");
        project
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Every text that is saved has a length of its own, because two saves may have the same time.
    fn save(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }

    fn supervisor(&self) -> Supervisor {
        let path = self.path().to_owned();
        let cargo = Cargo {
            program: "sh".into(),
            arguments: vec!["cargo.sh".into(), path.clone().into()],
            directory: path.clone(),
            target: path.join("target"),
            name: "weather".to_owned(),
            directories: [path.clone()].into(),
            executable: None,
        };
        let dify = DifyArgs { url: None, key: None, clear_text: false, env_file: path.join(".env") };
        let args = DevArgs {
            dify,
            plugin: PluginArgs { providers: Vec::new(), real_ids: false, dir: path },
            cargo: Vec::new(),
        };
        let short = Duration::from_millis(10);
        Supervisor::new(args, cargo, Delays { watch: short, reconnect: short, max_restart: short }).unwrap()
    }

    fn log(&self) -> Vec<String> {
        std::fs::read_to_string(self.path().join("log")).unwrap().lines().map(str::to_owned).collect()
    }

    fn count(&self, what: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(what)).count()
    }

    /// The build and the process of the last start.
    fn last_start(&self) -> (String, String) {
        let log = self.log();
        let line = log.iter().rfind(|line| line.starts_with("start")).unwrap();
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(TIMEOUT, wait).await.is_ok(), "{what}: {:?}", self.log());
    }
}

fn is_running(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[tokio::test]
async fn the_last_good_build_stays_registered() {
    let project = Project::new();
    let supervised = tokio::spawn(project.supervisor().run());
    project.until("first start", |project| project.count("start") == 1).await;
    let (number, first) = project.last_start();
    assert_eq!(number, "1");
    let start = &project.log()[1];
    assert!(start.contains("key-1") && start.contains("debug --supervised --dir"), "{start}");
    assert!(!start.split_once("debug").unwrap().1.contains("key-1"), "the key is an argument: {start}");

    // A build that does not compile.
    project.save("src/main.rs", "BROKEN");
    project.until("second build", |project| project.count("build") == 2).await;
    // One that compiles, with declarations that do not pass the check. The build after it shows that it was rejected.
    project.save("manifest.yaml", "BROKEN: 1");
    project.save("src/main.rs", "12");
    project.until("third build", |project| project.count("build") >= 3).await;
    project.save("src/main.rs", "123");
    project.until("fourth build", |project| project.count("build") >= 4).await;
    assert!(is_running(&first) && project.count("start") == 1, "{:?}", project.log());

    // The declarations are fixed, and the build waits for them.
    project.save("manifest.yaml", "a: 12");
    project.until("second start", |project| project.count("start") == 2).await;
    let (number, second) = project.last_start();
    assert!(number.parse::<usize>().unwrap() >= 4, "{:?}", project.log());
    assert!(!is_running(&first), "two are registered");

    // Path dependencies are sources, too.
    project.save("dependency/src/lib.rs", "1");
    project.until("third start", |project| project.count("start") == 3).await;
    assert!(!is_running(&second));

    // One that ends is started again, from the same build.
    let (number, third) = project.last_start();
    std::process::Command::new("kill").arg(&third).status().unwrap();
    project.until("fourth start", |project| project.count("start") == 4).await;
    let (again, fourth) = project.last_start();
    assert_eq!((again, is_running(&fourth)), (number, true));

    // Other settings.
    project.save(".env", "REMOTE_INSTALL_KEY=another-key\n");
    project.until("fifth start", |project| project.count("start") == 5).await;
    assert!(project.log().last().unwrap().contains("another-key"));
    let (_, fifth) = project.last_start();
    supervised.abort();
    let _ = supervised.await;
    project.until("end", |_| !is_running(&fifth)).await;
    let kept = std::fs::read_dir(project.path().join("target")).unwrap();
    let kept: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(kept, ["weather"]);
}

#[tokio::test]
async fn a_plugin_that_crashes_is_started_again() {
    let project = Project::new();
    project.save("crash", "");
    let supervised = tokio::spawn(project.supervisor().run());
    project.until("second start", |project| project.count("start") == 2).await;
    assert_eq!((project.count("build"), project.last_start().0.as_str()), (1, "1"));
    supervised.abort();
}

#[tokio::test]
async fn a_save_during_a_build_starts_one_more() {
    let project = Project::new();
    project.save("hold", "");
    let supervised = tokio::spawn(project.supervisor().run());
    project.until("first build", |project| project.count("build") == 1).await;
    project.save("src/main.rs", "12");
    project.save("src/main.rs", "123");
    std::fs::remove_file(project.path().join("hold")).unwrap();
    project.until("second start", |project| project.count("start") == 2).await;
    assert_eq!(project.count("build"), 2, "{:?}", project.log());
    supervised.abort();
}

#[tokio::test]
async fn without_a_key_it_builds_and_checks_only() {
    let project = Project::new();
    project.save(".env", "");
    let supervised = tokio::spawn(project.supervisor().run());
    project.until("first build", |project| project.count("build") == 1).await;
    project.save("src/main.rs", "12");
    project.until("second build", |project| project.count("build") == 2).await;
    project.save(".env", "REMOTE_INSTALL_KEY=key\n");
    project.until("start", |project| project.count("start") == 1).await;
    assert_eq!(project.last_start().0, "2");
    supervised.abort();
}

#[tokio::test(start_paused = true)]
async fn several_saves_are_one_change() {
    let project = Project::new();
    let mut supervisor = project.supervisor();
    let step = supervisor.delays.watch;
    let seen = supervisor.seen();
    let mut change = Box::pin(supervisor.change(&seen));
    assert!(futures_util::poll!(&mut change).is_pending());
    for text in ["12", "123", "1234"] {
        project.save("src/main.rs", text);
        tokio::time::advance(step).await;
        assert!(futures_util::poll!(&mut change).is_pending(), "{text}");
    }
    tokio::time::advance(step).await;
    let futures_util::task::Poll::Ready(now) = futures_util::poll!(&mut change) else { panic!("no change") };
    assert_ne!(now.sources, seen.sources);
    assert_eq!((&now.declarations, &now.settings), (&seen.declarations, &seen.settings));
}
