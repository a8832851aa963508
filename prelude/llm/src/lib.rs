//! Language models: generation, LoRA and QLoRA fine-tuning, embeddings.
