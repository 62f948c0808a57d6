//! `daymark dead-letters`: what could not be decoded, and sending it again.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use daymark_wire::dead_letters::REPLAY_HEADER;
use daymark_wire::{DeadLetter, DeadLetterFile};

use crate::cli::dead_letters::{DeadLettersCommand, ReplayArgs};
use crate::commands::output;
use crate::roles::admission::dead_letters_dir;

/// Longest wait for the answer to one letter.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs one of the commands, printing to `out`.
///
/// # Errors
/// When the area or a letter cannot be read, a name is not there, or a letter was refused again.
pub(crate) async fn run(command: DeadLettersCommand, out: impl Write) -> anyhow::Result<()> {
    let done = match command {
        DeadLettersCommand::List { area } => list(&dead_letters_dir(&area.data_dir), out),
        DeadLettersCommand::Show { area, name, content } => {
            show(&one(&dead_letters_dir(&area.data_dir), &name)?, content, out)
        }
        DeadLettersCommand::Replay(args) => replay(&args, out).await,
        DeadLettersCommand::Drop { area, names, all } => take_out(&dead_letters_dir(&area.data_dir), &names, all, out),
    };
    match done {
        Err(error) if error.downcast_ref().is_some_and(output::is_closed) => Ok(()),
        done => done,
    }
}

/// A line a letter, oldest first.
fn list(dir: &Path, mut out: impl Write) -> anyhow::Result<()> {
    let files = all(dir)?;
    for file in &files {
        match DeadLetter::read(&file.path) {
            Ok(letter) => {
                let DeadLetter { tenant, path, content_type, content_encoding, .. } = &letter;
                let (bytes, kind) = (letter.content.len(), shown(&format!("{content_type}, {content_encoding}")));
                let why = shown(&letter.message);
                writeln!(
                    out,
                    "{}  {tenant}  {}  {bytes} bytes ({kind})  {}: {why}",
                    file.name,
                    shown(path),
                    letter.reason
                )?;
            }
            Err(error) => writeln!(out, "{}  {error}", file.name)?,
        }
    }
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    writeln!(out, "{} dead letters, {bytes} bytes, in {}", files.len(), dir.display())?;
    Ok(())
}

/// What is known of one letter, or what was sent.
fn show(file: &DeadLetterFile, content: bool, mut out: impl Write) -> anyhow::Result<()> {
    let letter = DeadLetter::read(&file.path)?;
    if content {
        out.write_all(&letter.content)?;
        return Ok(());
    }
    // JSON escapes what could move a terminal's cursor.
    writeln!(out, "{}", serde_json::to_string_pretty(&letter)?)?;
    writeln!(out, "{} bytes of content: add --content for them", letter.content.len())?;
    Ok(())
}

/// Sends letters as they were sent, to `--url`; one that is accepted is taken out.
async fn replay(args: &ReplayArgs, mut out: impl Write) -> anyhow::Result<()> {
    let dir = dead_letters_dir(&args.area.data_dir);
    let base = args.url.trim_end_matches('/');
    let is_http = base.starts_with("http://") || base.starts_with("https://");
    anyhow::ensure!(is_http, "--url {base:?} does not begin with http:// or https://");
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let (mut accepted, mut refused) = (0, 0);
    for file in chosen(&dir, &args.names, args.all)? {
        let letter = DeadLetter::read(&file.path)?;
        let mut post = client
            .post(format!("{base}{}", letter.path))
            .header("content-type", &letter.content_type)
            .header("content-encoding", &letter.content_encoding)
            // What is refused again is kept already.
            .header(REPLAY_HEADER, "1");
        if let Some(key) = &args.key {
            post = post.bearer_auth(key);
        }
        let answer = post.body(letter.content).send().await.with_context(|| format!("cannot reach {base}"))?;
        let status = answer.status();
        if status.is_success() {
            accepted += 1;
            if !args.keep {
                std::fs::remove_file(&file.path).with_context(|| file.path.display().to_string())?;
            }
            writeln!(out, "{}  accepted", file.name)?;
        } else {
            refused += 1;
            let why = String::from_utf8_lossy(&answer.bytes().await?).into_owned();
            writeln!(out, "{}  {status}: {}", file.name, shown(&why))?;
        }
    }
    writeln!(out, "{accepted} accepted, {refused} refused")?;
    anyhow::ensure!(refused == 0, "{refused} dead letters were refused again; they stay");
    Ok(())
}

/// Takes letters out.
fn take_out(dir: &Path, names: &[String], everything: bool, mut out: impl Write) -> anyhow::Result<()> {
    let files = chosen(dir, names, everything)?;
    for file in &files {
        std::fs::remove_file(&file.path).with_context(|| file.path.display().to_string())?;
    }
    writeln!(out, "{} dead letters dropped", files.len())?;
    Ok(())
}

fn all(dir: &Path) -> anyhow::Result<Vec<DeadLetterFile>> {
    DeadLetterFile::all(dir).with_context(|| dir.display().to_string())
}

fn one(dir: &Path, name: &str) -> anyhow::Result<DeadLetterFile> {
    let found = all(dir)?.into_iter().find(|file| file.name == name);
    found.with_context(|| {
        format!("there is no dead letter {name:?} in {}: see `daymark dead-letters list`", dir.display())
    })
}

fn chosen(dir: &Path, names: &[String], everything: bool) -> anyhow::Result<Vec<DeadLetterFile>> {
    if everything {
        return all(dir);
    }
    anyhow::ensure!(!names.is_empty(), "name the dead letters, or say --all: see `daymark dead-letters list`");
    names.iter().map(|name| one(dir, name)).collect()
}

/// Hostile text on a terminal: one line, no control characters, not too long.
fn shown(text: &str) -> String {
    text.chars().take(300).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use daymark_guard::{Drain, SystemClock};
    use daymark_model::Ledger;
    use daymark_wire::{DeadLetterOptions, DeadLetters, ReceiveOptions, TenantKeys, http_router, serve_http};

    use super::*;
    use crate::cli::dead_letters::AreaArgs;

    async fn printed(command: DeadLettersCommand) -> (String, Result<(), String>) {
        let mut out = Vec::new();
        let done = run(command, &mut out).await.map_err(|error| error.to_string());
        (String::from_utf8(out).unwrap(), done)
    }

    /// A collector in `data_dir` that keeps dead letters, at an address of its own.
    async fn collector(data_dir: &Path, keys: TenantKeys, drain: &Drain) -> (String, DeadLetters) {
        let log = daymark_log::LogOptions { min_free_bytes: 0, ..daymark_log::LogOptions::new(data_dir.join("log")) };
        let options = daymark_collector::CollectorOptions::new(data_dir.to_owned(), log);
        let collector =
            daymark_collector::Collector::start(options, Arc::new(SystemClock), drain.clone()).await.unwrap();
        let letters = DeadLetterOptions::new(dead_letters_dir(data_dir));
        let letters = DeadLetters::start(letters, Arc::new(SystemClock)).unwrap();
        let dead_letters = Some(letters.clone());
        let receive = ReceiveOptions { keys, dead_letters, ..ReceiveOptions::new(Ledger::new("test")) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve_http(listener, http_router(Arc::new(collector), receive), drain.clone()));
        (base, letters)
    }

    /// Scenario: a client sends what cannot be decoded; an operator looks at it and sends it again. Guarantee: it is listed
    /// with tenant and reason, shown as it was sent, and stays while it is refused; what is accepted or dropped is gone.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn dead_letters_are_listed_shown_replayed_and_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let drain = Drain::new();
        let acme = daymark_model::TenantId::parse("acme").unwrap();
        let keys = TenantKeys::new([("key-of-acme".into(), acme)]).unwrap();
        let (base, letters) = collector(dir.path(), keys, &drain).await;
        let area = || AreaArgs { data_dir: dir.path().to_owned() };
        let send = async |body: &'static str| {
            let post = reqwest::Client::new().post(format!("{base}/v1/logs")).bearer_auth("key-of-acme");
            post.header("content-type", "application/json").body(body).send().await.unwrap().status().as_u16()
        };
        assert_eq!(send("{\"resourceLogs\":[]}").await, 200);
        assert_eq!(send("{\"broken\u{1b}[31m").await, 400);
        while letters.counts().kept < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (text, done) = printed(DeadLettersCommand::List { area: area() }).await;
        done.unwrap();
        assert!(text.contains("  acme  /v1/logs  13 bytes (application/json, identity)  malformed: "), "{text}");
        assert!(text.contains("1 dead letters") && !text.contains('\u{1b}') && !text.contains("key-of"), "{text}");
        let name = text.split_whitespace().next().unwrap().to_owned();
        let show = |content| DeadLettersCommand::Show { area: area(), name: name.clone(), content };
        assert_eq!(printed(show(true)).await.0, "{\"broken\u{1b}[31m");
        assert!(printed(show(false)).await.0.contains("\"tenant\": \"acme\""));

        let replay = |key: &str, keep| {
            let key = Some(key.to_owned());
            DeadLettersCommand::Replay(ReplayArgs {
                area: area(),
                names: vec![name.clone()],
                all: false,
                url: base.clone(),
                key,
                keep,
            })
        };
        let (text, done) = printed(replay("key-of-acme", false)).await;
        assert!(text.contains("400 Bad Request") && done.unwrap_err().contains("refused again"), "{text}");
        // A newer version could read it: here the file is made whole instead.
        let file = one(&dead_letters_dir(dir.path()), &name).unwrap();
        let whole = DeadLetter { content: "{\"resourceLogs\":[]}".into(), ..DeadLetter::read(&file.path).unwrap() };
        std::fs::write(&file.path, whole.to_bytes().unwrap()).unwrap();
        assert!(printed(replay("key-of-nobody", false)).await.0.contains("401"));
        assert!(printed(replay("key-of-acme", false)).await.0.contains("1 accepted, 0 refused"));
        let (text, _) = printed(replay("key-of-acme", false)).await;
        assert!(text.is_empty(), "nothing was sent: {text}");

        let nothing = DeadLettersCommand::Drop { area: area(), names: Vec::new(), all: false };
        assert!(printed(nothing).await.1.unwrap_err().contains("or say --all"));
        let outside = DeadLettersCommand::Drop { area: area(), names: vec!["../log".into()], all: false };
        assert!(printed(outside).await.1.unwrap_err().contains("there is no dead letter"));
        let (text, _) = printed(DeadLettersCommand::Drop { area: area(), names: Vec::new(), all: true }).await;
        assert!(text.ends_with("dead letters dropped\n"), "{text}");
        assert!(all(&dead_letters_dir(dir.path())).unwrap().is_empty());
        drain.begin();
        assert!(drain.finished(Duration::from_secs(30)).await);
    }
}
