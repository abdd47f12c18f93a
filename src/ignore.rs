//! `.dockerignore`: the patterns that the daemon gets, and which line of the file hides a path.
//!
//! The daemon does the hiding; here the same rules say which line did. They are those of `ignorefile` and
//! `MatchesUsingParentResults` in `moby/patternmatcher`; `tests/data/ignore` has its verdicts. In short: the last
//! matching line decides, `!` lets through, and what matches a folder matches everything in it. Not followed:
//! patternmatcher passes a backslash before a letter or digit to a regular expression, where it means something else.

/// An ignore file.
#[derive(Clone, Debug, Default)]
pub struct IgnoreFile {
    rules: Vec<Rule>,
}

/// A line with a pattern.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Number of the line, from 1.
    pub line: usize,
    /// The line without the blanks around it.
    pub text: String,
    /// The pattern as the daemon takes it, its `!` included.
    normalized: String,
    /// Whether what matches is let through.
    lets_through: bool,
    /// None if the daemon refuses the pattern.
    pattern: Option<Pattern>,
}

impl IgnoreFile {
    /// Reads an ignore file.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let rules = text
            .split('\n')
            .enumerate()
            .filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty())
            .map(|(index, line)| Rule::parse(index + 1, line.trim()))
            .collect();
        Self { rules }
    }

    /// The patterns for the daemon (`local.excludepatterns`).
    pub fn patterns(&self) -> Vec<String> {
        self.rules.iter().map(|rule| rule.normalized.clone()).collect()
    }

    /// The first line whose pattern the daemon refuses.
    pub fn refused(&self) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.pattern.is_none())
    }

    /// The line that hides a path, relative to the context; none if the path is not hidden.
    pub fn hides(&self, path: &str) -> Option<&Rule> {
        let mut hiding = None;
        let mut fits_parent = vec![false; self.rules.len()];
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let Some(ancestor) = path.get(..end) else { continue };
            hiding = None;
            for (rule, fits) in self.rules.iter().zip(&mut fits_parent) {
                *fits = *fits || (rule.lets_through == hiding.is_some() && rule.fits(ancestor));
                if *fits && rule.lets_through {
                    hiding = None;
                } else if *fits {
                    hiding.get_or_insert(rule);
                }
            }
        }
        hiding
    }
}

impl Rule {
    fn parse(line: usize, text: &str) -> Self {
        let (sign, pattern) = split_sign(text);
        let pattern = pattern.trim();
        let cleaned = if pattern.is_empty() { String::new() } else { clean(pattern) };
        let relative = cleaned.strip_prefix('/').filter(|relative| !relative.is_empty());
        let normalized = format!("{sign}{}", relative.unwrap_or(&cleaned));
        // The daemon starts afresh with what it gets: `/!x` lets through, and `!/` is `!` alone.
        let cleaned = clean(&normalized);
        let (sign, pattern) = split_sign(&cleaned);
        Self {
            line,
            text: text.to_owned(),
            lets_through: !sign.is_empty(),
            pattern: Pattern::parse(pattern),
            normalized,
        }
    }

    fn fits(&self, path: &str) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.fits(path))
    }
}

/// The `!` of a pattern, if it has one, and the rest.
fn split_sign(text: &str) -> (&str, &str) {
    text.split_at(usize::from(text.starts_with('!')))
}

/// The shortest path that means the same, by its text alone (Go's `filepath.Clean`).
fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if is_absolute => {}
            _ => parts.push(part),
        }
    }
    match (is_absolute, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

/// A pattern, read as moby/patternmatcher reads it: `**` alone at an end is compared as text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    StartsWith(String),
    EndsWith(String),
    Tokens(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    One(char),
    /// `?`: a character within a name.
    Any,
    /// `[…]`: a character in one of the ranges, or in none of them.
    Class { ranges: Vec<(char, char)>, negated: bool },
    /// `*`: characters within a name.
    Name,
    /// `**` before the end: nothing, or anything up to a slash.
    Folders,
    /// `**` at the end: anything.
    Rest,
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let mut tokens = Vec::new();
        let mut plain = Kind::Exact;
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            let is_first = tokens.is_empty();
            let token = match character {
                '*' if rest.next_if_eq(&'*').is_some() => {
                    let _ = rest.next_if_eq(&'/');
                    let at_end = rest.peek().is_none();
                    plain = match (is_first, at_end, plain) {
                        (true, _, _) => Kind::EndsWith,
                        (false, true, Kind::Exact) => Kind::StartsWith,
                        (false, _, _) => Kind::Tokens,
                    };
                    if at_end { Token::Rest } else { Token::Folders }
                }
                '*' => Token::Name,
                '?' => Token::Any,
                '[' => class(&mut rest)?,
                '\\' => {
                    plain = Kind::Tokens;
                    Token::One(rest.next()?)
                }
                character => Token::One(character),
            };
            if !matches!(token, Token::One(_) | Token::Folders | Token::Rest) || character == ']' {
                plain = Kind::Tokens;
            }
            tokens.push(token);
        }
        Some(match plain {
            Kind::Exact => Self::Exact(text.to_owned()),
            Kind::StartsWith => Self::StartsWith(text.strip_suffix("**")?.to_owned()),
            Kind::EndsWith => Self::EndsWith(text.strip_prefix("**")?.to_owned()),
            Kind::Tokens => Self::Tokens(tokens),
        })
    }

    fn fits(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => path == text,
            Self::StartsWith(start) => path.starts_with(start),
            Self::EndsWith(end) => path.ends_with(end) || end.strip_prefix('/') == Some(path),
            Self::Tokens(tokens) => fits_tokens(tokens, path),
        }
    }
}

/// How a pattern is compared, as far as it has been read.
#[derive(Clone, Copy)]
enum Kind {
    Exact,
    StartsWith,
    EndsWith,
    Tokens,
}

/// The rest of a class, after its `[`.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match rest.next()? {
            ']' if ranges.is_empty() => return None,
            ']' => return Some(Token::Class { ranges, negated }),
            '-' => return None,
            '\\' => rest.next()?,
            character => character,
        };
        let last = match rest.next_if_eq(&'-') {
            None => first,
            Some(_) => match rest.next()? {
                ']' | '-' => return None,
                '\\' => rest.next()?,
                character => character,
            },
        };
        ranges.push((first, last));
    }
}

/// Whether the tokens match the whole path. Keeps all places where the next token may begin, so the work is tokens ×
/// characters whatever the pattern.
fn fits_tokens(tokens: &[Token], path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    let mut places = vec![false; path.len() + 1];
    places.first_mut().into_iter().for_each(|start| *start = true);
    for token in tokens {
        let mut next = vec![false; places.len()];
        // Whether an earlier place reaches this one.
        let mut reaches = false;
        let before = [None].into_iter().chain(path.iter().map(Some));
        for (((place, before), previous), next) in
            places.iter().zip(before).zip([false].iter().chain(&places)).zip(&mut next)
        {
            let is_slash = before == Some(&'/');
            *next = match token {
                Token::One(character) => *previous && before == Some(character),
                Token::Any => *previous && !is_slash,
                Token::Class { ranges, negated } => {
                    let fits = |character: &char| {
                        ranges.iter().any(|(first, last)| (first..=last).contains(&character))
                    };
                    *previous && before.is_some_and(|character| fits(character) != *negated)
                }
                Token::Name => {
                    reaches = *place || (reaches && !is_slash);
                    reaches
                }
                Token::Folders => {
                    let fits = *place || (reaches && is_slash);
                    reaches |= *place;
                    fits
                }
                Token::Rest => {
                    reaches |= *place;
                    reaches
                }
            };
        }
        places = next;
    }
    places.last() == Some(&true)
}
