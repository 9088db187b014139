//! The examples of the README and of docs/api.md: each `$ curl …` of the README is sent as it stands there, each `$ scale-metrics …` of both
//! is run, and what stands below must be what comes.

use crate::completions::output_of;
use crate::support::TestServer;

const ADDRESS: &str = "http://127.0.0.1:8080";

/// A request as the README writes it.
#[derive(Default)]
struct Curl {
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    /// `| tail -c N`: only the last bytes of the answer are shown.
    tail: Option<usize>,
}

impl Curl {
    fn parse(command: &str) -> Self {
        let mut curl = Self::default();
        let words = words(command);
        let mut words = words.iter().map(String::as_str);
        assert_eq!(words.next(), Some("curl"));
        while let Some(word) = words.next() {
            match word {
                "-s" => {}
                "-H" => {
                    let (name, value) = words.next().unwrap().split_once(": ").unwrap();
                    curl.headers.push((name.to_owned(), value.to_owned()));
                }
                "--data" => curl.body = Some(words.next().unwrap().as_bytes().to_vec()),
                "--data-binary" => {
                    let file = words.next().unwrap().strip_prefix('@').unwrap();
                    curl.body = Some(std::fs::read(file).unwrap());
                }
                "|" => {
                    assert_eq!((words.next(), words.next()), (Some("tail"), Some("-c")));
                    curl.tail = Some(words.next().unwrap().parse().unwrap());
                }
                url => url.strip_prefix(ADDRESS).unwrap().clone_into(&mut curl.path),
            }
        }
        curl
    }

    fn run(&self, server: &TestServer) -> String {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method = if self.body.is_some() { "POST" } else { "GET" };
        let answer = server.send(method, &self.path, &headers, self.body.as_deref().unwrap_or_default());
        let text = answer.text().replace(server.base(), ADDRESS);
        let start = self.tail.map_or(0, |bytes| text.len() - bytes);
        text[start..].to_owned()
    }
}

/// The words of a command line, as a shell cuts them at spaces outside of single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in command.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

/// What the program prints for `scale-metrics …`, of this server in place of the one that is named.
fn output(command: &str, server: &TestServer) -> String {
    let command = command.replace(ADDRESS, server.base());
    let words = words(&command);
    let arguments: Vec<_> = words[1..].iter().map(String::as_str).collect();
    output_of(&arguments).replace(server.base(), ADDRESS)
}

/// The commands of a page that begin with `$`, each with what stands below it.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.filter_map(|block| block.strip_prefix("$ ")?.split_once('\n')).collect()
}

#[test]
fn the_examples_of_the_readme_answer_as_it_says() {
    let server = TestServer::start();
    let examples = examples(include_str!("../../README.md"));
    assert!(examples.len() >= 8, "only {} examples were found", examples.len());
    for (command, expected) in examples {
        let answer = if command.starts_with("scale-metrics ") {
            output(command, &server)
        } else {
            Curl::parse(command).run(&server)
        };
        assert_eq!(answer.trim_end(), expected.trim_end(), "{command}");
    }
}

#[test]
fn the_commands_of_the_guide_to_the_interface_print_what_it_says() {
    let server = TestServer::start();
    server.ndjson(include_str!("../../data/worked-example.ndjson"));
    let examples = examples(include_str!("../../docs/api.md")).into_iter();
    let commands: Vec<_> = examples.filter(|(command, _)| command.starts_with("scale-metrics ")).collect();
    assert!(commands.len() >= 5, "only {} commands were found", commands.len());
    for (command, expected) in commands {
        assert_eq!(output(command, &server).trim_end(), expected.trim_end(), "{command}");
    }
}
