//! Whether children stand as a content says: in its order, and as often.

use std::collections::BTreeSet;

use crate::schema::xsd::model::{Particle, Term};

/// Checks the names of an element's children.
///
/// # Errors
/// With the first place where they cannot go on as the content says.
pub(in crate::schema::xsd) fn check(particle: &Particle, names: &[&str]) -> Result<(), String> {
    let mut matching = Matching {
        names,
        furthest: 0,
        expected: BTreeSet::new(),
    };
    let ends = matching.particle(particle, &[0]);
    if ends.contains(&names.len()) {
        return Ok(());
    }
    let expected: Vec<String> = matching
        .expected
        .iter()
        .map(|it| format!("`{it}`"))
        .collect();
    let expected = match expected.as_slice() {
        [] => "nothing more".to_owned(),
        names if names.len() > 4 => format!("{} or others", names[..4].join(", ")),
        names => names.join(" or "),
    };
    Err(match names.get(matching.furthest) {
        Some(found) => format!("`{found}` stands where {expected} is to be"),
        None => format!("{expected} is missing at the end"),
    })
}

/// Follows all ways through the content at once. A position counts the children that are behind.
struct Matching<'a> {
    names: &'a [&'a str],
    /// How far any way got, and what could have stood there.
    furthest: usize,
    expected: BTreeSet<&'a str>,
}

impl<'a> Matching<'a> {
    /// Where a particle can end that begins at one of these positions; ascending.
    fn particle(&mut self, particle: &'a Particle, starts: &[usize]) -> Vec<usize> {
        // A minimum above the maximum asks for the maximum.
        let min = particle
            .max
            .map_or(particle.min, |max| particle.min.min(max));
        let mut current = starts.to_vec();
        for _ in 0..min {
            let next = self.term(&particle.term, &current);
            if next.is_empty() || next == current {
                // Nothing matches, or nothing is used up however often it is asked for.
                current = next;
                break;
            }
            current = next;
        }
        let mut seen: BTreeSet<usize> = current.iter().copied().collect();
        let mut times = min;
        while !current.is_empty() && particle.max.is_none_or(|max| times < max) {
            let next = self.term(&particle.term, &current);
            // What begins where something began before leads nowhere new.
            current = next.into_iter().filter(|it| seen.insert(*it)).collect();
            times = times.saturating_add(1);
        }
        seen.into_iter().collect()
    }

    fn term(&mut self, term: &'a Term, starts: &[usize]) -> Vec<usize> {
        match term {
            Term::Element(element) => self.one(starts, Some(&element.name)),
            Term::Any => self.one(starts, None),
            Term::Sequence(parts) => {
                let mut current = starts.to_vec();
                for part in parts {
                    if current.is_empty() {
                        break;
                    }
                    current = self.particle(part, &current);
                }
                current
            }
            Term::Choice(parts) => {
                let ends = parts.iter().flat_map(|part| self.particle(part, starts));
                let ends: BTreeSet<usize> = ends.collect();
                ends.into_iter().collect()
            }
            Term::All(parts) => {
                let ends = starts.iter().filter_map(|start| self.all(parts, *start));
                let ends: BTreeSet<usize> = ends.collect();
                ends.into_iter().collect()
            }
        }
    }

    /// One child, of this name if any.
    fn one(&mut self, starts: &[usize], wanted: Option<&'a str>) -> Vec<usize> {
        let mut ends = Vec::with_capacity(starts.len());
        for start in starts {
            match self.names.get(*start) {
                Some(name) if wanted.is_none_or(|it| it == *name) => {
                    ends.push(start + 1);
                    self.reach(start + 1);
                }
                _ => self.note(*start, wanted.unwrap_or("any element")),
            }
        }
        ends
    }

    fn reach(&mut self, position: usize) {
        if position > self.furthest {
            self.furthest = position;
            self.expected.clear();
        }
    }

    fn note(&mut self, position: usize, expected: &'a str) {
        self.reach(position);
        if position == self.furthest {
            self.expected.insert(expected);
        }
    }

    /// Children in any order, as many as there are; none when one is missing.
    fn all(&mut self, parts: &'a [Particle], start: usize) -> Option<usize> {
        let mut counts = vec![0_u32; parts.len()];
        let mut position = start;
        while let Some(name) = self.names.get(position) {
            let place = parts.iter().zip(&counts).position(|(part, count)| {
                let fits = match &part.term {
                    Term::Element(element) => element.name == *name,
                    Term::Any => true,
                    _ => false,
                };
                fits && part.max.is_none_or(|max| *count < max)
            });
            let Some(place) = place else { break };
            counts[place] += 1;
            position += 1;
        }
        let mut is_complete = true;
        for (part, count) in parts.iter().zip(&counts) {
            let open = part.max.is_none_or(|max| *count < max);
            if let (Term::Element(element), true) = (&part.term, open) {
                self.note(position, &element.name);
            }
            is_complete &= *count >= part.min;
        }
        is_complete.then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check;
    use crate::schema::xsd::model::{Element, Particle, Term, Type};

    fn particle(term: Term, min: u32, max: Option<u32>) -> Particle {
        Particle { min, max, term }
    }

    fn element(name: &str) -> Term {
        Term::Element(Element {
            name: name.to_owned(),
            data_type: Type::Any,
            nillable: false,
            fixed: None,
            has_default: false,
        })
    }

    #[track_caller]
    fn check_problem(content: &Particle, names: &[&str], expected: &str) {
        assert_eq!(check(content, names).unwrap_err(), expected);
    }

    #[test]
    fn problems_say_what_is_expected() {
        let content = particle(
            Term::Sequence(vec![
                particle(element("a"), 1, Some(1)),
                particle(element("b"), 0, None),
                particle(element("c"), 1, Some(2)),
            ]),
            1,
            Some(1),
        );
        assert!(check(&content, &["a", "b", "b", "c"]).is_ok());
        check_problem(&content, &["b"], "`b` stands where `a` is to be");
        check_problem(&content, &["a", "b"], "`b` or `c` is missing at the end");
        check_problem(
            &content,
            &["a", "c", "c", "c"],
            "`c` stands where nothing more is to be",
        );
        let all = particle(
            Term::All(vec![
                particle(element("a"), 1, Some(1)),
                particle(element("b"), 0, Some(1)),
            ]),
            1,
            Some(1),
        );
        assert!(check(&all, &["b", "a"]).is_ok());
        check_problem(&all, &["b"], "`a` is missing at the end");
    }

    #[test]
    fn long_contents_take_no_time() {
        let names = vec!["a"; 20_000];
        let items = particle(element("a"), 0, None);
        assert!(check(&items, &names).is_ok());
        let counted = particle(Term::Sequence(vec![items]), 1, Some(u32::MAX));
        assert!(check(&counted, &names).is_ok());
        let empty = particle(Term::Sequence(Vec::new()), u32::MAX, None);
        assert!(check(&empty, &[]).is_ok());
    }

    fn contents() -> impl Strategy<Value = Particle> {
        let bounds = || (0..3u32, prop::option::of(0..4u32));
        let leaf =
            ("[abc]", bounds()).prop_map(|(name, (min, max))| particle(element(&name), min, max));
        leaf.prop_recursive(3, 12, 3, move |inner| {
            (prop::collection::vec(inner, 1..4), any::<bool>(), bounds()).prop_map(
                |(parts, sequence, (min, max))| {
                    let term = if sequence {
                        Term::Sequence(parts)
                    } else {
                        Term::Choice(parts)
                    };
                    particle(term, min, max)
                },
            )
        })
    }

    /// The content as a regular expression over one-letter names.
    fn expression(particle: &Particle) -> String {
        let term = match &particle.term {
            Term::Element(element) => element.name.clone(),
            Term::Sequence(parts) => parts.iter().map(expression).collect(),
            Term::Choice(parts) => {
                let parts: Vec<String> = parts.iter().map(expression).collect();
                parts.join("|")
            }
            Term::Any | Term::All(_) => unreachable!("not generated"),
        };
        let (min, max) = (particle.min, particle.max);
        let min = max.map_or(min, |max| min.min(max));
        let max = max.map(|it| it.to_string()).unwrap_or_default();
        format!("(?:{term}){{{min},{max}}}")
    }

    proptest! {
        #[test]
        fn contents_are_regular_expressions(content in contents(), text in "[abc]{0,7}") {
            let regex = regex::Regex::new(&format!(r"\A(?:{})\z", expression(&content))).unwrap();
            let names: Vec<&str> = text.split("").filter(|it| !it.is_empty()).collect();
            prop_assert_eq!(check(&content, &names).is_ok(), regex.is_match(&text), "{}", regex);
        }
    }
}
