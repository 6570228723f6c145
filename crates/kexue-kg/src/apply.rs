//! Applies the changes of a log one by one.

use crate::changes::{Base, Changes, Target, Undo};
use crate::error::KgError;
use crate::inverse::inverse_relation;
use crate::log::{Change, Logged, Removal};

impl Changes {
    /// Applies a change and records its steps in `undo`, even if it fails; no steps mean that nothing changed. Returns the outcome of a large
    /// removal.
    pub fn apply(
        &mut self,
        base: &Base<'_>,
        change: &Change,
        undo: &mut Vec<Undo>,
    ) -> Result<Option<Removal>, KgError> {
        match change {
            Change::Add {
                subject,
                relation,
                object,
            } => {
                self.add(base, [subject, relation, object], false, undo)?;
                if base.inverse {
                    let back = inverse_relation(relation);
                    self.add(base, [object, &back, subject], base.folds(), undo)?;
                }
            }
            Change::Replace {
                subject,
                relation,
                objects,
            } => self.replace(base, subject, relation, objects, undo)?,
            Change::Remove {
                subject,
                relation: Some(relation),
                object: Some(object),
            } => self.remove(base, [subject, relation, object], undo)?,
            Change::Remove { subject, relation, .. } => {
                return self.remove_facts(base, subject, relation.as_deref(), undo);
            }
            Change::Alias { subject, alias } => self.alias(base, subject, alias, true, undo)?,
            Change::Unalias { subject, alias } => self.alias(base, subject, alias, false, undo)?,
            Change::Pin {
                question,
                subject,
                relation,
            } => self.pin(question, Some((subject.clone(), relation.clone())), undo),
            Change::Unpin { question } => self.pin(question, None, undo),
        }
        Ok(None)
    }

    /// Applies a change of the log.
    pub fn replay(&mut self, base: &Base<'_>, logged: &Logged) -> Result<(), KgError> {
        let mut undo = Vec::new();
        match (&logged.change, &logged.removal) {
            (Change::Remove { subject, relation, .. }, Some(removal)) => {
                self.remove_again(base, subject, relation.as_deref(), removal, &mut undo)
            }
            (change, _) => self.apply(base, change, &mut undo).map(drop),
        }
    }

    /// Replaces the objects of a fact. The inverse facts of objects that stay are not touched.
    fn replace(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        relation: &str,
        objects: &[String],
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        if objects.is_empty() {
            return self.remove_facts(base, subject, Some(relation), undo).map(drop);
        }
        let target = Target::new(base, subject, relation);
        let after = target.record(base, objects.iter().map(String::as_str).collect());
        let before = self.objects(base, &target)?;
        let same = before
            .as_ref()
            .is_some_and(|before| before.spelling == after.spelling && before.objects.iter().eq(after.objects.iter()));
        let new = after.objects.clone();
        if !same {
            self.set(base, &target.subject, &target.key, Some(after), undo)?;
        }
        if base.inverse {
            let gone = (before.iter().flat_map(|before| before.objects.iter()))
                .filter(|object| new.place(object, base.folds()).is_none())
                .map(|object| (relation.to_owned(), object.to_owned()))
                .collect();
            self.remove_all_back(base, subject, gone, undo)?;
            let back = inverse_relation(relation);
            for object in new.iter() {
                self.add(base, [object, &back, subject], base.folds(), undo)?;
            }
        }
        Ok(())
    }
}
