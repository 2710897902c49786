//! What files may say, and what they are told when they say it wrongly.

use super::*;

fn parsed(file: &str, text: &str) -> Vec<Document> {
    parse(&[(file, text.as_bytes().to_vec())]).unwrap_or_else(|failure| panic!("{failure:?}"))
}

fn errors(file: &str, text: &str) -> String {
    let failure = parse(&[(file, text.as_bytes().to_vec())]).expect_err("it is accepted");
    assert_eq!(failure.kind, Kind::Caller);
    let mut lines = Vec::new();
    failure.write(&mut lines).unwrap();
    String::from_utf8(lines).unwrap()
}

#[test]
fn yaml_with_several_documents_keeps_scalars_as_written() {
    let text = "# two\n---\napiVersion: ferry/v1\nkind: Connector\nmetadata: {name: a}\ntargetState: Paused\nconfig:\n  \
                tasks.max: 2\n  ratio: 1.10\n  octal: 010\n  flag: True\n  empty: ''\n---\n# nothing\n--- {kind: \
                Connector, name: 7, config: {connector.class: X}}\n...\n";
    let documents = parsed("x.yaml", text);
    assert_eq!(documents.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["a", "7"]);
    assert_eq!(documents[0].target, Some(Target::Paused));
    let config: Vec<_> = documents[0].config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(config, ["empty=", "flag=True", "octal=010", "ratio=1.10", "tasks.max=2"]);
    assert_eq!((documents[1].origin.number, documents[1].origin.line), (2, 15));
}

#[test]
fn kafka_connects_own_files() {
    let documents =
        parsed("-", "{\"name\": \"a\",\n \"config\": {\"n\": 1.50, \"b\": true}}\n{\"name\": \"b\", \"config\": {}}");
    assert_eq!(
        (documents.len(), documents[0].config["n"].as_str(), documents[0].config["b"].as_str()),
        (2, "1.50", "true")
    );
    assert_eq!(parsed("x.json", "[{\"name\": \"a\", \"config\": {}}]").len(), 1);
    for file in ["c.properties", "-"] {
        let documents =
            parsed(file, "# source\nname=local-file-source\nconnector.class=FileStreamSource\nfile=a\\\n  b\n");
        assert_eq!((documents[0].name.as_str(), documents[0].config["file"].as_str()), ("local-file-source", "ab"));
    }
    assert_eq!(parsed("-", "{kind: Connector, name: a, config: {k: v}}")[0].config["k"], "v");
}

#[test]
fn mistakes_name_the_file_the_document_the_line_and_the_fix() {
    let text = "kind: Connector\nname: a\ncolour: red\nconfig: {}\n---\nkind: Connector\nname: b\nconfig:\n  file:\n  l: [1]\n";
    assert_eq!(
        errors("x.yaml", text),
        "error: x.yaml: document 1 (line 3): colour: unknown field; allowed are apiVersion, kind, name, metadata, \
         config, targetState, status\n\
         error: x.yaml: document 2 (line 9): config.file: it has no value; give one or leave the key out\n\
         error: x.yaml: document 2 (line 10): config.l: it is not a text, number or boolean\n"
    );
    assert_eq!(
        errors("x.json", "{\"name\": \"a\", \"config\": {}}\n{\"name\": \"b\",\n \"config\": {},\n \"tasks\": []}"),
        "error: x.json: document 2 (line 4): tasks: unknown field; allowed are name, config\n"
    );
    assert_eq!(
        errors("x.yaml", "kind: Conector\nname: a\nconfig:\n  name: b\n"),
        "error: x.yaml: document 1 (line 1): kind: \"Conector\" is not known; give Connector\n\
         error: x.yaml: document 1 (line 4): config.name: \"b\" is not the connector's name \"a\"; leave it out\n"
    );
    assert_eq!(
        errors("x.yaml", "kind: Connector\ntargetState: on\n"),
        "error: x.yaml: document 1 (line 1): name: it is missing; give the connector's name\n\
         error: x.yaml: document 1 (line 1): config: it is missing; give the connector's configuration\n\
         error: x.yaml: document 1 (line 2): targetState: it is none of running, paused, stopped\n"
    );
}

#[test]
fn a_field_is_not_mistaken_for_a_key_of_the_config() {
    let text = "kind: Connector\nconfig:\n  name: b\n  targetState: x\nname: a\ntargetState: x\n";
    let lines = errors("x.yaml", text);
    assert!(lines.contains("(line 3): config.name") && lines.contains("(line 6): targetState"), "{lines}");
}

#[test]
fn text_that_is_no_document() {
    assert!(
        errors("x.yaml", "a: [\n").starts_with("error: x.yaml: document 1 (line"),
        "{}",
        errors("x.yaml", "a: [\n")
    );
    assert!(errors("x.yaml", "name: a\n---\nb: 1\nb: 2\n").contains("document 2"));
    assert_eq!(
        errors("x.json", "{\"name\": }"),
        "error: x.json: line 1: it is not JSON: expected value at line 1 column 10\n"
    );
    assert_eq!(
        errors("x.yaml", "just text\n"),
        "error: x.yaml: document 1 (line 1): it is not an object with the fields kind, name and config\n"
    );
    assert_eq!(errors("x.yaml", "# nothing\n"), "error: x.yaml: it has no document; give at least one connector\n");
    assert_eq!(
        errors("x.properties", "a=b\n"),
        "error: x.properties: document 1 (line 1): name: it is missing; add a line name=NAME\n"
    );
}

#[test]
fn a_name_is_given_once_over_all_files() {
    let one = |file| (file, b"kind: Connector\nname: a\nconfig: {}\n".to_vec());
    let mut lines = Vec::new();
    parse(&[one("x.yaml"), one("y.yaml")]).unwrap_err().write(&mut lines).unwrap();
    assert_eq!(
        String::from_utf8(lines).unwrap(),
        "error: y.yaml: document 1 (line 1): name: connector \"a\" is already in x.yaml: document 1 (line 1)\n"
    );
}

#[test]
fn a_missing_file_is_named() {
    let failure = load(&["no-such-file.yaml".to_owned()]).unwrap_err();
    assert_eq!(failure.kind, Kind::Caller);
    assert!(format!("{failure:?}").contains("no-such-file.yaml: there is no such file"));
}
