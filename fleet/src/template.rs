//! Configuration files with places to fill in: `{{name}}` becomes the node's name.

/// Why a template cannot be filled in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such value.
    #[error("line {line}: {{{{{name}}}}} is not known; there are {known}")]
    Unknown {
        /// The line, counted from 1.
        line: usize,
        /// What is asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// It never ends.
    #[error("line {line}: {{{{ without an end")]
    Open {
        /// The line, counted from 1.
        line: usize,
    },
}

/// Fills in `values` by name.
pub fn fill(template: &str, values: &[(&str, &str)]) -> Result<String, TemplateError> {
    let lines = template.lines().enumerate().map(|(index, line)| filled(line, index + 1, values));
    let mut text = lines.collect::<Result<Vec<_>, _>>()?.join("\n");
    if template.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn filled(line: &str, number: usize, values: &[(&str, &str)]) -> Result<String, TemplateError> {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(TemplateError::Open { line: number })?;
        let value = values.iter().find(|(known, _)| *known == name.trim()).map(|(_, value)| *value);
        let known = || values.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let unknown =
            || TemplateError::Unknown { line: number, name: name.trim().to_owned(), known: known() };
        text.push_str(before);
        text.push_str(value.ok_or_else(unknown)?);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in_and_the_rest_stays() {
        let values = [("name", "izar"), ("site", "home")];
        let text = "name = \"{{name}}\"\n# {{ site }} of {{name}}\nccache = { max = 1 }\n";
        let filled = fill(text, &values).unwrap();
        assert_eq!(filled, "name = \"izar\"\n# home of izar\nccache = { max = 1 }\n");
        assert_eq!(fill("no end", &values).unwrap(), "no end");
    }

    #[test]
    fn a_typo_is_told_with_its_line() {
        let error = fill("a\nb {{nmae}}\n", &[("name", "izar"), ("site", "home")]).unwrap_err();
        assert_eq!(error.to_string(), "line 2: {{nmae}} is not known; there are name, site");
        assert_eq!(fill("{{name", &[]).unwrap_err().to_string(), "line 1: {{ without an end");
    }
}
