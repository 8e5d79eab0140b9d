use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    io::BufRead,
    path::PathBuf,
};

use serde_json::{Map, Value};

use super::{
    Cell, Rows, Source, Step,
    json_wrapper::{self, Wrapper},
};
use crate::DatasetError;

/// Rows that are read ahead, so that the names of most fields are known at the start.
const AHEAD: usize = 1_000;
/// Depth to which objects in objects are read; the field `id` of the field `user` is `user.id`.
const DEPTH: usize = 3;

/// JSON objects as rows. An object with a list of objects that is to be unnested becomes one row
/// for each element, with the object's other fields in each.
pub(super) struct JsonRows {
    objects: Objects,
    /// Last words of the names of lists that are unnested.
    lists: &'static [&'static str],
    names: Vec<String>,
    positions: HashMap<String, usize>,
    /// Pairs of columns, the smaller first, that have had values in one row.
    together: HashSet<(usize, usize)>,
    ahead: VecDeque<Read>,
    /// Whether an object was read.
    begun: bool,
    /// Values of the current row by column.
    row: Vec<Option<Value>>,
    line: u64,
}

/// A list that becomes rows: its name and its elements.
type List = (String, Vec<Map<String, Value>>);

/// What is read from a file at once.
enum Read {
    Object { line: u64, fields: Vec<(usize, Value)> },
    Bad { line: u64, reason: String, lines: u64 },
}

impl JsonRows {
    /// One object per line.
    pub(super) fn lines(
        source: Source,
        lists: &'static [&'static str],
    ) -> Result<Self, DatasetError> {
        Self::new(Objects::new(source, true), lists)
    }

    /// An array of objects, or objects one after the other.
    pub(super) fn objects(
        source: Source,
        lists: &'static [&'static str],
    ) -> Result<Self, DatasetError> {
        Self::new(Objects::new(source, false), lists)
    }

    fn new(objects: Objects, lists: &'static [&'static str]) -> Result<Self, DatasetError> {
        let mut rows = Self {
            objects,
            lists,
            names: Vec::new(),
            positions: HashMap::new(),
            together: HashSet::new(),
            ahead: VecDeque::new(),
            begun: false,
            row: Vec::new(),
            line: 0,
        };
        while rows.ahead.len() < AHEAD && rows.read(true)? {}
        Ok(rows)
    }

    /// Reads an object into `ahead`; returns whether there was one. The columns that have values
    /// together are noted for `every` object, else for those with new columns.
    fn read(&mut self, every: bool) -> Result<bool, DatasetError> {
        let known = self.names.len();
        let Some(text) = self.objects.next()? else { return Ok(false) };
        let (line, lines) = (text.line, text.lines);
        let reason = match serde_json::from_slice(text.bytes) {
            Ok(Value::Object(object)) => {
                for object in self.unwrap(object)? {
                    for fields in self.rows_of(object) {
                        if every || self.names.len() > known {
                            self.together.extend(pairs(&fields));
                        }
                        self.ahead.push_back(Read::Object { line, fields });
                    }
                }
                return Ok(true);
            }
            Ok(other) => format!("expected a JSON object, found {}", kind(&other)),
            Err(error) => {
                // The line of the error is counted from the object.
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                format!("expected a JSON object, found {text} at column {}", error.column())
            }
        };
        self.ahead.push_back(Read::Bad { line, reason, lines });
        Ok(true)
    }

    /// The objects that are rows: those in the only object of a file, or the object itself.
    fn unwrap(
        &mut self,
        object: Map<String, Value>,
    ) -> Result<Vec<Map<String, Value>>, DatasetError> {
        let is_first = !std::mem::replace(&mut self.begun, true);
        if !is_first || !self.objects.is_end()? {
            return Ok(vec![object]);
        }
        match json_wrapper::unwrap(object, |name| self.is_list_name(name)) {
            Wrapper::Rows(rows) => Ok(rows),
            Wrapper::Row(object) => Ok(vec![object]),
            Wrapper::Several(paths) => Err(DatasetError::input(
                &self.objects.path,
                format!(
                    "is one JSON object with several lists of objects ({}); write the list with \
                     the rows to a file of its own, for example with jq -c '.{}[]'",
                    paths.join(", "),
                    paths[0]
                ),
            )),
        }
    }

    /// The rows of an object: one, or one for each element of its list.
    fn rows_of(&mut self, object: Map<String, Value>) -> Vec<Vec<(usize, Value)>> {
        let mut fields = Vec::with_capacity(object.len());
        let mut list = None;
        self.flatten("", object, DEPTH, &mut fields, &mut list);
        let Some((name, elements)) = list else { return vec![fields] };
        let mut rows = Vec::with_capacity(elements.len());
        for element in elements {
            let mut row = fields.clone();
            self.flatten(&name, element, DEPTH, &mut row, &mut None);
            rows.push(row);
        }
        rows
    }

    /// Adds the fields of an object. The first list that is to be unnested becomes `list`.
    fn flatten(
        &mut self,
        prefix: &str,
        object: Map<String, Value>,
        depth: usize,
        fields: &mut Vec<(usize, Value)>,
        list: &mut Option<List>,
    ) {
        for (name, value) in object {
            let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Null => {}
                Value::Object(inner) => match extended(inner) {
                    Ok(value) => fields.push((self.position(&name), value)),
                    Err(inner) if depth > 1 => {
                        self.flatten(&name, inner, depth - 1, fields, list);
                    }
                    Err(inner) => fields.push((self.position(&name), Value::Object(inner))),
                },
                Value::Array(values) if list.is_none() && self.is_list(&name, &values) => {
                    let object = |value| match value {
                        Value::Object(object) => Some(object),
                        _ => None,
                    };
                    *list = Some((name, values.into_iter().filter_map(object).collect()));
                }
                value => fields.push((self.position(&name), value)),
            }
        }
    }

    /// Whether an array is to become rows: all its elements are objects, and its name says so.
    fn is_list(&self, name: &str, values: &[Value]) -> bool {
        self.is_list_name(name) && !values.is_empty() && values.iter().all(Value::is_object)
    }

    fn is_list_name(&self, name: &str) -> bool {
        let last = name.rsplit('.').next().unwrap_or(name);
        let word: String =
            last.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        self.lists.contains(&word.as_str())
    }

    fn position(&mut self, name: &str) -> usize {
        if let Some(&position) = self.positions.get(name) {
            return position;
        }
        let position = self.names.len();
        self.names.push(name.to_owned());
        self.positions.insert(name.to_owned(), position);
        position
    }
}

impl Rows for JsonRows {
    fn columns(&self) -> &[String] {
        &self.names
    }

    fn advance(&mut self) -> Result<Step, DatasetError> {
        if self.ahead.is_empty() {
            self.read(false)?;
        }
        match self.ahead.pop_front() {
            None => Ok(Step::End),
            Some(Read::Bad { line, reason, lines }) => {
                self.line = line;
                Ok(Step::Bad { reason, lines })
            }
            Some(Read::Object { line, fields }) => {
                self.line = line;
                self.row.clear();
                self.row.resize(self.names.len(), None);
                for (column, value) in fields {
                    self.row[column] = Some(value);
                }
                Ok(Step::Row)
            }
        }
    }

    fn cell(&self, column: usize) -> Cell<'_> {
        match self.row.get(column).and_then(Option::as_ref) {
            None | Some(Value::Null) => Cell::Absent,
            Some(Value::String(text)) => Cell::of_text(text),
            Some(Value::Number(number)) => Cell::Text(Cow::Owned(number.to_string())),
            Some(Value::Bool(value)) => {
                Cell::Text(Cow::Borrowed(if *value { "true" } else { "false" }))
            }
            Some(Value::Array(values)) => Cell::List(values.iter().filter_map(element).collect()),
            Some(object @ Value::Object(_)) => Cell::Other(kind(object)),
        }
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn occur_together(&self, left: usize, right: usize) -> bool {
        self.together.contains(&(left.min(right), left.max(right)))
    }
}

fn pairs(fields: &[(usize, Value)]) -> Vec<(usize, usize)> {
    // A text that is no value does not count.
    let has_value = |value: &Value| !matches!(value, Value::String(text) if text.trim().is_empty());
    let columns: Vec<usize> =
        fields.iter().filter(|(_, value)| has_value(value)).map(|(column, _)| *column).collect();
    let mut pairs = Vec::new();
    for (at, &left) in columns.iter().enumerate() {
        pairs.extend(columns[at + 1..].iter().map(|&right| (left.min(right), left.max(right))));
    }
    pairs
}

/// The value of `MongoDB`'s extended JSON, such as `{"$oid": "5f…"}`; else the object itself.
fn extended(object: Map<String, Value>) -> Result<Value, Map<String, Value>> {
    if object.len() != 1 || !object.keys().all(|name| name.starts_with('$')) {
        return Err(object);
    }
    match object.into_iter().next() {
        // Seconds, and a counter within the second.
        Some((name, Value::Object(mut inner))) if name == "$timestamp" => {
            inner.remove("t").ok_or(inner)
        }
        Some((_, Value::Object(inner))) => extended(inner),
        Some((_, value)) => Ok(value),
        None => Err(Map::new()),
    }
}

/// An element of a list as text; of an object, its name.
fn element(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(object) => {
            ["name", "title", "label"].iter().find_map(|name| element(object.get(*name)?))
        }
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The texts of the objects of a file.
struct Objects {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    /// Whether each line is one object.
    by_line: bool,
    buffer: Vec<u8>,
    /// Number of lines read.
    line: u64,
}

/// The text of what should be an object.
struct ObjectText<'a> {
    bytes: &'a [u8],
    /// First line, from 1.
    line: u64,
    lines: u64,
}

impl Objects {
    fn new(source: Source, by_line: bool) -> Self {
        let path = source.path().to_path_buf();
        Self { reader: source.reader(), path, by_line, buffer: Vec::new(), line: 0 }
    }

    fn next(&mut self) -> Result<Option<ObjectText<'_>>, DatasetError> {
        let found = if self.by_line { self.next_line() } else { self.next_object() };
        let found = found.map_err(DatasetError::io("read", &self.path))?;
        let Some(line) = found else { return Ok(None) };
        let lines = if self.by_line { 1 } else { self.line + 1 - line };
        Ok(Some(ObjectText { bytes: self.buffer.trim_ascii(), line, lines }))
    }

    /// Whether nothing but blanks and the end of an array follows.
    fn is_end(&mut self) -> Result<bool, DatasetError> {
        loop {
            let available = self.reader.fill_buf().map_err(DatasetError::io("read", &self.path))?;
            if available.is_empty() {
                return Ok(true);
            }
            if !available.iter().all(|byte| b" \t\r\n]".contains(byte)) {
                return Ok(false);
            }
            let used = available.len();
            self.line += available.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            self.reader.consume(used);
        }
    }

    /// Reads a line that is not blank; returns its number.
    fn next_line(&mut self) -> std::io::Result<Option<u64>> {
        loop {
            self.buffer.clear();
            if self.reader.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(self.line));
            }
        }
    }

    /// Reads up to the end of an object, or up to the next comma or line end outside of objects;
    /// returns the number of its first line.
    fn next_object(&mut self) -> std::io::Result<Option<u64>> {
        self.buffer.clear();
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        let mut first = 0;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                return Ok((!self.buffer.is_empty()).then_some(first));
            }
            let mut used = 0;
            let mut complete = false;
            for &byte in available {
                used += 1;
                if self.buffer.is_empty() {
                    match byte {
                        b'\n' => self.line += 1,
                        b' ' | b'\t' | b'\r' | b',' | b'[' | b']' => {}
                        _ => {
                            first = self.line + 1;
                            self.buffer.push(byte);
                            depth = usize::from(byte == b'{');
                        }
                    }
                    continue;
                }
                if depth == 0 && matches!(byte, b',' | b'\n' | b']') {
                    // Not an object. The line end is left to the next one.
                    complete = true;
                    used -= usize::from(byte == b'\n');
                    break;
                }
                self.line += u64::from(byte == b'\n');
                self.buffer.push(byte);
                if in_text {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => in_text = false,
                        _ => {}
                    }
                    continue;
                }
                match byte {
                    b'"' => in_text = true,
                    b'{' => depth += 1,
                    b'}' => {
                        depth = depth.saturating_sub(1);
                        complete = depth == 0;
                    }
                    _ => {}
                }
                if complete {
                    break;
                }
            }
            self.reader.consume(used);
            if complete {
                return Ok(Some(first));
            }
        }
    }
}
