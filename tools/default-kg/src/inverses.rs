//! Facts the other way round: from a code, a symbol or a number to what it stands for.

use crate::graph::Graph;

/// A relation whose objects name their subject, what separates several of them in one object, and the relation that leads back.
const INVERSES: [(&str, &str, &str); 12] = [
    ("元素符号", " ", "符号所指元素"),
    ("symbol", " ", "symbol of"),
    ("原子序数", " ", "序数所指元素"),
    ("atomic number", " ", "atomic number of"),
    ("ISO代码", " / ", "代码所指国家"),
    ("ISO code", " / ", "ISO code of"),
    ("电话区号", ", ", "区号所指国家"),
    ("calling code", ", ", "calling code of"),
    ("顶级域名", " ", "域名所指国家"),
    ("internet domain", " ", "domain of"),
    ("货币代码", " ", "代码所指货币"),
    ("currency code", " ", "currency code of"),
];

/// Whether a relation leads back.
pub fn is_inverse(relation: &str) -> bool {
    INVERSES.iter().any(|(.., inverse)| *inverse == relation)
}

/// Adds a fact that leads from each code to each of its subjects. Call it before aliases are added, so that it leads to the usual name.
pub fn add(graph: &mut Graph) {
    let mut inverses = Vec::new();
    for fact in graph.facts() {
        if let Some((_, separator, inverse)) = INVERSES.iter().find(|(relation, ..)| *relation == fact.relation) {
            for code in fact.object.split(separator) {
                inverses.push((code.to_owned(), *inverse, fact.subject.clone()));
            }
        }
    }
    for (code, relation, subject) in inverses {
        graph.add(&code, relation, subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back() {
        let mut graph = Graph::default();
        graph.add("France", "ISO code", "FR / FRA");
        graph.add("Jamaica", "calling code", "+1 876, +1 658");
        graph.add("铁", "元素符号", "Fe");
        graph.add("铁", "熔点", "1538 °C");
        add(&mut graph);
        let text = graph.to_tsv();
        for line in ["FR\tISO code of\tFrance", "FRA\tISO code of\tFrance", "+1 658\tcalling code of\tJamaica", "Fe\t符号所指元素\t铁"] {
            assert!(text.contains(line), "{line}");
        }
        assert_eq!(graph.facts().len(), 9);
    }
}
