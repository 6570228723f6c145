//! What the model makes of questions, as a table of numbers: for each line of standard input the hidden state of the question's last token, `[d_model]`,
//! as a line of CSV. `kexue vae train` and `kexue vae density` then tell how usual a question is; `docs/qa.md` has what that is worth.
//!
//! `encode RUN`: the folder of a run of `kexue qa train`; without it, the embedded model.
use kexue_nn::Decoder;
use kexue_qa::{Trained, embedded};
use kexue_text::{CLS, SEP};
use std::error::Error;
use std::io::BufRead;

fn main() -> Result<(), Box<dyn Error>> {
    let trained = match std::env::args().nth(1) {
        Some(folder) => Trained::open(std::path::Path::new(&folder))?,
        None => embedded()?.1,
    };
    let mut decoder = Decoder::new(&trained.model);
    for question in std::io::stdin().lock().lines() {
        let mut tokens = vec![CLS];
        trained.vocabulary.encode_into(question?.trim(), &mut tokens);
        tokens.push(SEP);
        decoder.clear();
        let end = decoder.prompts([&tokens[..]])?[0];
        let numbers: Vec<String> = decoder.hidden(end)?.iter().map(f32::to_string).collect();
        println!("{}", numbers.join(","));
    }
    Ok(())
}
