//! Reads the tasks of an execution, one at a time.

use serde::de::{MapAccess, SeqAccess};

use super::field::{Field, Key, bit};
use super::types::FromValue;
use super::value::{Shape, Value, read_as_shape};
use crate::events::{MAX_TASKS, Task};
use crate::time::Timestamp;
use crate::vocabulary::TaskType;

read_as_shape!(Tasks, TaskRead);

/// The value of `tasks`. Only the first mistake in it is reported.
pub(super) struct Tasks(pub(super) Value<'static>);

impl<'de> Shape<'de> for Tasks {
    fn value(value: Value<'de>) -> Self {
        if matches!(value, Value::Absent) {
            return Self(Value::Absent);
        }
        Self(Value::Tasks(Err(format!("must be an array of tasks, {}", value.found()))))
    }

    fn array<A: SeqAccess<'de>>(mut array: A) -> Result<Self, A::Error> {
        let mut tasks = Ok(Vec::with_capacity(TaskType::ALL.len()));
        let mut place = 0;
        while let Some(TaskRead(task)) = array.next_element()? {
            match (&mut tasks, task) {
                (Ok(_), Ok(_)) if place == MAX_TASKS => tasks = Err(format!("must be at most {MAX_TASKS} tasks")),
                (Ok(tasks), Ok(task)) => tasks.push(task),
                (Ok(_), Err(detail)) => tasks = Err(format!("[{place}] {detail}")),
                (Err(_), _) => {}
            }
            place += 1;
        }
        Ok(Self(Value::Tasks(tasks)))
    }
}

/// A value in a place where one task is expected: the task, or what is wrong with it.
struct TaskRead(Result<Task, String>);

impl<'de> Shape<'de> for TaskRead {
    fn value(value: Value<'de>) -> Self {
        Self(Err(format!("must be an object with type, started and ended, {}", value.found())))
    }

    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut task_type = None;
        let mut times = [None; 2];
        let mut given = 0;
        let mut problem = None;
        while let Some(key) = object.next_key()? {
            let Key::Field(field @ (Field::Type | Field::Started | Field::Ended)) = key else {
                let name = match key {
                    Key::Field(field) => field.name().to_owned(),
                    Key::Unknown(name) => name,
                    Key::NoText => "a name with a lone surrogate".to_owned(),
                };
                if !matches!(object.next_value()?, Value::Absent) {
                    problem.get_or_insert(format!("{name} is no field of a task"));
                }
                continue;
            };
            let value: Value<'_> = object.next_value()?;
            let slot = usize::from(field == Field::Ended);
            let read = match (field, value) {
                _ if given & bit(field) != 0 => Err("is given twice".to_owned()),
                (_, Value::Absent) => Ok(()),
                (Field::Type, value) => TaskType::from_value(value).map(|value| task_type = Some(value)),
                (_, value) => Timestamp::from_value(value).map(|value| times[slot] = Some(value)),
            };
            given |= bit(field);
            if let Err(detail) = read {
                problem.get_or_insert(format!("{} {detail}", field.name()));
            }
        }
        let [started, ended] = times;
        Ok(Self(match (problem, task_type) {
            (Some(problem), _) => Err(problem),
            (None, None) => Err("type is required".to_owned()),
            (None, Some(task_type)) => Ok(Task { task_type, started, ended }),
        }))
    }
}
