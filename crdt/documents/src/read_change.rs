//! Reads a change that anybody may have written: a device's own Automerge, a peer, an attacker.
//!
//! What must always hold:
//! - It is total and bounded: nothing is inflated, allocated or repeated beyond the limits, whatever the bytes claim.
//! - What is read is in the canonical form (written again it gives the same bytes) and does only what the schema has.
//! - It depends on the bytes alone, so every region reads alike.
//!
//! Automerge's own reader is not used: it inflates without a limit and follows counts of runs as they are claimed.

use crate::change::{Actor, Change, ChangeHash, Malformed, Object, Operation, OperationId, Value};
use crate::columns::{read, read_booleans, read_differences};
use crate::limits::{
    ACTOR_BYTES_MAX, ACTORS_PER_CHANGE_MAX, CHANGE_BYTES_MAX, COUNTER_MAX, DEPENDENCIES_MAX,
    INSERTION_BYTES_MAX, KEY_BYTES_MAX, OPERATIONS_PER_CHANGE_MAX, REMARK_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::numbers::{Reader, put_signed, put_unsigned};
use crate::schema::{self, Schema};
use crate::write_change::{
    ACTION, CHANGE, COMPRESSED, INSERT, KEY_ACTOR, KEY_COUNTER, KEY_TEXT, MAGIC, OBJECT_ACTOR,
    OBJECT_COUNTER, PUT, REMOVE, REPLACES_ACTOR, REPLACES_COUNT, REPLACES_COUNTER, VALUE, VALUE_META, chunk,
};
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use std::collections::BTreeMap;

/// Operations that one operation may replace: values that stood side by side.
const REPLACES_MAX: usize = OPERATIONS_PER_CHANGE_MAX;

/// The columns by number, and the actors that they name by number.
struct Columns<'a> {
    columns: BTreeMap<u64, &'a [u8]>,
    actors: Vec<Actor>,
}

impl Change {
    /// Reads a change of a document of that schema, compressed or not.
    ///
    /// # Errors
    /// [`Malformed`]: not one change in canonical form, or one that does what the schema has not.
    pub fn read(bytes: &[u8], schema: Schema) -> Result<(Self, ChangeHash), Malformed> {
        if bytes.len() > CHANGE_BYTES_MAX {
            return Err(Malformed::TooLarge);
        }
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(Malformed::NotAChange);
        }
        let checksum: [u8; 4] = reader.array()?;
        let [kind] = reader.array()?;
        let body = reader.bytes(CHANGE_BYTES_MAX)?;
        if !reader.is_empty() {
            return Err(Malformed::NotAChange);
        }
        let inflated;
        let body = match kind {
            CHANGE => body,
            COMPRESSED => {
                inflated = decompress_to_vec_with_limit(body, CHANGE_BYTES_MAX)
                    .map_err(|_| Malformed::NotAChange)?;
                &inflated
            }
            _ => return Err(Malformed::NotAChange),
        };
        let change = read_body(body, schema)?;
        // Equal hashes are equal bytes.
        let (_, hash) = chunk(body);
        if hash.0[..4] != checksum {
            return Err(Malformed::NotAChange);
        }
        if change.write().1 != hash {
            return Err(Malformed::NotCanonical);
        }
        Ok((change, hash))
    }
}

fn read_body(body: &[u8], schema: Schema) -> Result<Change, Malformed> {
    let mut reader = Reader::new(body);
    let dependencies = reader.count(DEPENDENCIES_MAX)?;
    let dependencies: Vec<ChangeHash> =
        (0..dependencies).map(|_| reader.array().map(ChangeHash)).collect::<Result<_, _>>()?;
    if !dependencies.is_sorted_by(|one, next| one < next) {
        return Err(Malformed::NotCanonical);
    }
    let actor = Actor::from_bytes(reader.bytes(ACTOR_BYTES_MAX)?);
    let (sequence, start, time_s) = (reader.unsigned()?, reader.unsigned()?, reader.signed()?);
    if sequence == 0 || start == 0 || start > COUNTER_MAX {
        return Err(Malformed::Number);
    }
    let message = reader.text(REMARK_BYTES_MAX)?;
    let mut actors = vec![actor.clone()];
    for _ in 0..reader.count(ACTORS_PER_CHANGE_MAX)? {
        actors.push(Actor::from_bytes(reader.bytes(ACTOR_BYTES_MAX)?));
    }
    let mut specifications = Vec::new();
    // Twelve are known: one of the rest is a schema of somebody else, or a later format.
    for _ in 0..reader.count(64)? {
        specifications.push((reader.unsigned()?, reader.count(CHANGE_BYTES_MAX)?));
    }
    let mut columns = BTreeMap::new();
    for (specification, length) in specifications {
        columns.insert(specification, reader.take(length)?);
    }
    let extra = reader.rest();
    if extra.len() > REMARK_BYTES_MAX {
        return Err(Malformed::TooLarge);
    }
    let operations = Columns { columns, actors }.operations(schema)?;
    let extra = extra.to_vec();
    Ok(Change { actor, sequence, start, time_s, message, dependencies, operations, extra })
}

impl Columns<'_> {
    fn bytes(&self, specification: u64) -> &[u8] {
        self.columns.get(&specification).copied().unwrap_or_default()
    }

    fn numbers(&self, specification: u64, rows_max: usize) -> Result<Vec<Option<u64>>, Malformed> {
        read(self.bytes(specification), rows_max, |reader| reader.unsigned())
    }

    /// The id that two columns hold in one row.
    fn id(&self, actor: Option<u64>, counter: Option<u64>) -> Result<Option<OperationId>, Malformed> {
        let (actor, counter) = match (actor, counter) {
            (None, None) => return Ok(None),
            (Some(actor), Some(counter)) => (actor, counter),
            _ => return Err(Malformed::Schema),
        };
        let actor =
            usize::try_from(actor).ok().and_then(|at| self.actors.get(at)).ok_or(Malformed::Number)?;
        if counter == 0 || counter > u64::from(u32::MAX) {
            return Err(Malformed::Number);
        }
        Ok(Some(OperationId { counter, actor: actor.clone() }))
    }

    fn operations(&self, schema: Schema) -> Result<Vec<Operation>, Malformed> {
        let actions = self.numbers(ACTION, OPERATIONS_PER_CHANGE_MAX)?;
        let rows = actions.len();
        if rows == 0 {
            return Err(Malformed::Schema);
        }
        let (object_actors, objects) =
            (self.numbers(OBJECT_ACTOR, rows)?, self.numbers(OBJECT_COUNTER, rows)?);
        let key_actors = self.numbers(KEY_ACTOR, rows)?;
        let key_counters = read_differences(self.bytes(KEY_COUNTER), rows)?;
        let keys = read(self.bytes(KEY_TEXT), rows, |reader| reader.text(KEY_BYTES_MAX))?;
        let inserts = read_booleans(self.bytes(INSERT), rows)?;
        let metas = self.numbers(VALUE_META, rows)?;
        let mut values = Reader::new(self.bytes(VALUE));
        let mut replaced = self.replaced(rows)?.into_iter();
        let mut operations = Vec::with_capacity(rows);
        for (row, action) in actions.into_iter().enumerate() {
            let at = |column: &[Option<u64>]| column.get(row).copied().flatten();
            let object = match self.id(at(&object_actors), at(&objects))? {
                None => Object::Root,
                Some(id) if id.actor == schema::first_actor() => {
                    Object::Child(u8::try_from(id.counter).map_err(|_| Malformed::Schema)?)
                }
                Some(_) => return Err(Malformed::Schema),
            };
            let meta = at(&metas).ok_or(Malformed::Number)?;
            let length = usize::try_from(meta >> 4).map_err(|_| Malformed::Number)?;
            if length > VALUE_BYTES_MAX {
                return Err(Malformed::TooLarge);
            }
            let value = Value { kind: (meta & 0xf) as u8, bytes: values.take(length)?.to_vec() };
            let shape = Shape {
                object,
                key: keys.get(row).cloned().flatten(),
                element: match at(&key_counters) {
                    Some(0) if at(&key_actors).is_none() => Some(None),
                    counter => self.id(at(&key_actors), counter)?.map(Some),
                },
                inserts: inserts.get(row).copied().ok_or(Malformed::Number)?,
                action: action.ok_or(Malformed::Number)?,
                value,
                replaces: replaced.next().ok_or(Malformed::Number)?,
            };
            operations.push(shape.operation(schema)?);
        }
        if values.is_empty() { Ok(operations) } else { Err(Malformed::NotCanonical) }
    }

    /// Per row, what it replaces.
    fn replaced(&self, rows: usize) -> Result<Vec<Vec<OperationId>>, Malformed> {
        let counts = self.numbers(REPLACES_COUNT, rows)?;
        let actors = self.numbers(REPLACES_ACTOR, REPLACES_MAX)?;
        let counters = read_differences(self.bytes(REPLACES_COUNTER), REPLACES_MAX)?;
        if actors.len() != counters.len() {
            return Err(Malformed::Number);
        }
        let mut ids = actors.into_iter().zip(counters).map(|(actor, counter)| self.id(actor, counter));
        let mut replaced = Vec::with_capacity(rows);
        for count in counts {
            let count = usize::try_from(count.ok_or(Malformed::Number)?).map_err(|_| Malformed::Number)?;
            if count > REPLACES_MAX {
                return Err(Malformed::TooLarge);
            }
            let mut row = Vec::new();
            for _ in 0..count {
                row.push(ids.next().ok_or(Malformed::Short)??.ok_or(Malformed::Number)?);
            }
            if !row.is_sorted_by(|one, next| one < next) {
                return Err(Malformed::NotCanonical);
            }
            replaced.push(row);
        }
        if ids.next().is_none() { Ok(replaced) } else { Err(Malformed::NotCanonical) }
    }
}

/// One row of the columns.
struct Shape {
    object: Object,
    key: Option<String>,
    element: Option<Option<OperationId>>,
    inserts: bool,
    action: u64,
    value: Value,
    replaces: Vec<OperationId>,
}

impl Shape {
    /// The operation that it is, if the schema has one like it.
    fn operation(self, schema: Schema) -> Result<Operation, Malformed> {
        let Self { object, key, element, inserts, action, value, replaces } = self;
        let is_nothing = value.kind == 0 && value.bytes.is_empty();
        match (key, element, inserts, action) {
            (Some(key), None, false, PUT) if schema.may_put(object, &key) && is_well_formed(&value) => {
                Ok(Operation::Put { object, key, value, replaces })
            }
            // One that removes nothing leaves no trace where a document is saved, and its hash would be lost.
            (Some(key), None, false, REMOVE)
                if schema.may_put(object, &key) && is_nothing && !replaces.is_empty() =>
            {
                Ok(Operation::Remove { object, key, replaces })
            }
            (None, Some(after), true, PUT) if schema.is_text(object) && replaces.is_empty() => {
                let text = value.as_text().filter(|text| !text.is_empty()).ok_or(Malformed::Schema)?;
                if text.len() > INSERTION_BYTES_MAX {
                    return Err(Malformed::TooLarge);
                }
                Ok(Operation::Insert { object, after, text: text.to_owned() })
            }
            (None, Some(Some(element)), false, REMOVE)
                if schema.is_text(object) && is_nothing && replaces == [element.clone()] =>
            {
                Ok(Operation::Erase { object, element })
            }
            _ => Err(Malformed::Schema),
        }
    }
}

/// Whether these are the very bytes that Automerge writes for a scalar of that type. There are no fractions and no counters.
fn is_well_formed(value: &Value) -> bool {
    let Value { kind, bytes } = value;
    let mut again = Vec::new();
    match kind {
        0..=2 => bytes.is_empty(),
        3 => Reader::new(bytes).unsigned().is_ok_and(|number| {
            put_unsigned(number, &mut again);
            again == *bytes
        }),
        4 | 9 => Reader::new(bytes).signed().is_ok_and(|number| {
            put_signed(number, &mut again);
            again == *bytes
        }),
        6 => std::str::from_utf8(bytes).is_ok(),
        7 => true,
        _ => false,
    }
}
