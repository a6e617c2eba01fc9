//! Where a crate is written, and where not.

use super::*;

fn args(name: &str, dir: Option<PathBuf>) -> NewArgs {
    NewArgs {
        name: name.to_owned(),
        kind: Kind::Tool,
        datasource_type: None,
        dir,
        library: None,
        author: Some("acme".to_owned()),
    }
}

#[test]
fn writes_a_crate_and_overwrites_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("deep/er");
    assert!(args("weather", Some(directory.clone())).run().is_ok());
    assert!(fs::read_to_string(directory.join("manifest.yaml")).unwrap().contains("name: weather\n"));
    fs::write(directory.join("README.md"), "mine").unwrap();
    let error = args("weather", Some(directory.clone())).run().unwrap_err().to_string();
    assert!(error.contains("is not empty; nothing was written"), "{error}");
    assert_eq!(fs::read_to_string(directory.join("README.md")).unwrap(), "mine");
    // Editors find the schema of each file.
    for (file, schema) in
        [("manifest.yaml", "manifest"), ("provider/weather.yaml", "tool-provider"), ("tools/forecast.yaml", "tool")]
    {
        let text = fs::read_to_string(directory.join(file)).unwrap();
        let path = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap();
        let path = directory.join(file).parent().unwrap().join(path);
        assert!(path.ends_with(format!(".dify/schemas/{schema}.json")), "{file}: {}", path.display());
        assert!(serde_json::from_str::<serde_json::Value>(&fs::read_to_string(path).unwrap()).is_ok());
    }

    let empty = scratch.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(args("weather", Some(empty.clone())).run().is_ok());
    assert!(empty.join("src/lib.rs").is_file());
}

#[test]
fn rejects_directories_that_it_cannot_fill() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "mine").unwrap();
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(scratch.path().join("missing"), &link).unwrap();
    for path in [&file, &link] {
        let error = args("weather", Some(path.clone())).run().unwrap_err().to_string();
        assert!(error.contains("exists and is not a directory"), "{error}");
    }
    assert!(args("weather", Some(file.join("below"))).run().is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert!(!scratch.path().join("missing").exists());
}

#[test]
fn writes_nothing_for_invalid_arguments() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("x");
    let mut with_type = args("weather", Some(directory.clone()));
    with_type.datasource_type = Some(DatasourceType::OnlineDrive);
    let mut with_author = args("weather", Some(directory.clone()));
    with_author.author = Some("Jane Doe".to_owned());
    let mut with_library = args("weather", Some(directory.clone()));
    with_library.library = Some(scratch.path().to_owned());
    for (args, reason) in [
        (args("We ather", Some(directory.clone())), "did you mean `we-ather`?"),
        (with_type, "--type belongs to --kind datasource"),
        (with_author, "did you mean `jane-doe`?"),
        (with_library, "is not a checkout of the library"),
    ] {
        let error = args.run().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(!directory.exists());
}

#[test]
fn next_steps_can_be_typed() {
    for (path, typed) in
        [("./weather", "./weather"), ("/a b/it's", "'/a b/it'\\''s'"), ("-x", "'./-x'"), ("a;rm", "'a;rm'")]
    {
        assert_eq!(quoted(Path::new(path)), typed);
    }
    let template = Template::of(Kind::Tool, None).unwrap();
    let steps = next_steps(Path::new("weather"), template);
    assert_eq!(steps[1..3], ["  cd weather", "  cargo run -- try forecast --param place=Riga"]);
}
