//! Recognises first lines that name the columns.

use crate::batch::Batch;

/// Common names of the columns of subject, relation and object, in lower case.
const NAMES: [&[&str]; 3] = [
    &[
        "subject",
        "subj",
        "s",
        "head",
        "h",
        "head_entity",
        "source",
        "from",
        "entity",
        "主语",
        "主体",
        "头实体",
        "实体",
    ],
    &[
        "relation",
        "rel",
        "r",
        "predicate",
        "pred",
        "p",
        "property",
        "attribute",
        "edge",
        "type",
        "谓语",
        "关系",
        "属性",
    ],
    &[
        "object",
        "obj",
        "o",
        "tail",
        "t",
        "tail_entity",
        "target",
        "to",
        "value",
        "宾语",
        "客体",
        "尾实体",
        "值",
        "属性值",
    ],
];

/// Whether a triple looks like the names of its columns.
fn is_likely(triple: [&str; 3]) -> bool {
    triple
        .iter()
        .zip(NAMES)
        .all(|(text, names)| names.contains(&text.trim().to_lowercase().as_str()))
}

/// Notes the first triple of a file whose format may have a header.
pub(super) fn note(batch: &mut Batch, line: u64, triple: [&str; 3]) {
    if is_likely(triple) {
        batch.likely_header = Some(format!("{line}: `{}`", triple.join("`, `")));
    }
}
