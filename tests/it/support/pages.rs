//! The commands and statements of a page, and how an operator runs them.

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{Folder, process};

/// The person in the statements of the pages.
const PERSON: &str = "0b9f8f7e-3f0e-4b8e-9d57-4d6a1a1b2c3d";

/// A fenced block below a heading.
#[derive(Clone)]
pub struct Block {
    pub heading: String,
    pub language: String,
    pub text: String,
}

/// All blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut heading) = (Vec::<Block>::new(), "");
    let mut is_open = false;
    for line in page.lines() {
        match (is_open, line.strip_prefix("```"), blocks.last_mut()) {
            (false, Some(language), _) => blocks.push(Block {
                heading: heading.to_owned(),
                language: language.to_owned(),
                text: String::new(),
            }),
            (true, None, Some(block)) => block.text = format!("{}{line}\n", block.text),
            (false, None, _) if line.starts_with('#') => heading = line.trim_matches(['#', ' ']),
            _ => {}
        }
        is_open ^= line.starts_with("```");
    }
    blocks
}

/// The blocks below one heading.
#[track_caller]
pub fn steps(page: &str, heading: &str) -> Vec<Block> {
    let blocks = blocks(page).into_iter();
    let found: Vec<Block> = blocks.filter(|block| block.heading == heading).collect();
    assert!(!found.is_empty(), "nothing to run below {heading}");
    found
}

/// An operator's shell with the program, the settings of a server, and `deploy`.
pub struct Shell {
    pub folder: Folder,
    pub settings: BTreeMap<String, String>,
}

impl Shell {
    pub fn new(settings: &BTreeMap<String, String>) -> Self {
        let folder = Folder::new();
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        symlink(deploy, folder.path().join("deploy")).unwrap();
        Self {
            folder,
            settings: settings.clone(),
        }
    }

    /// Runs a block, about this person. Gives what it said.
    pub async fn run(&self, block: &Block, person: &str) -> Result<String, String> {
        let text = block.text.replace(PERSON, person);
        let mut command = match block.language.as_str() {
            "sh" => Command::new("sh"),
            "sql" => {
                let mut psql = Command::new("psql");
                psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1"]);
                psql.arg(&self.settings["DATABASE_URL"]);
                psql
            }
            language => panic!("{language} cannot be run"),
        };
        if block.language == "sh" {
            command.arg("-eu");
        }
        let programs = Path::new(process::BINARY).parent().unwrap().display();
        let path = std::env::var("PATH").unwrap();
        command
            .env_clear()
            .envs(&self.settings)
            .env("PATH", format!("{programs}:{path}"))
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let run = move || -> Output {
            let mut child = command.spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            // A program that fails early reads no more.
            let _ = input.write_all(text.as_bytes());
            drop(input);
            child.wait_with_output().unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(said)
        }
    }
}
