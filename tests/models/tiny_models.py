"""Models of many architectures, tiny and of random weights, as folders: what tools/export_layers.py must find in each.

A row: the configuration's class and arguments, then what the files must say. `form`: "I" (projections and all that
goes with them) or "QKV", for each layer; `layers`: attributes besides the heads, a dictionary a layer, the last one for
all that follow; `has`: tensors that must be there besides, in layer 0 at least; `lacks`: tensors that must not. Or
`refused`: words of the message.
"""
import os
import shutil

import torch
import transformers

WIDTH = {"hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64,
         "vocab_size": 30522, "initializer_range": 0.3, "pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102,
         "max_position_embeddings": 128}
GROUPED = {**WIDTH, "num_key_value_heads": 2}
CAUSAL = {"is_causal": "1"}
ROTARY = {"cos_cache", "sin_cache"}
BIASES = {"b_Q", "b_K", "b_V"}
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}


def row(config, form, layers, has=(), lacks=(), **arguments):
    return {"config": config, "forms": form.split(), "layers": layers, "has": set(has), "lacks": set(lacks),
            "arguments": arguments}


def refused(config, words, **arguments):
    return {"config": config, "refused": words, "arguments": arguments}


GPT2 = {"n_embd": 48, "n_head": 4, "n_layer": 2, "n_positions": 128, "vocab_size": 30522, "initializer_range": 0.3}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
PART = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
GEMMA = {**CAUSAL, "scale": repr(10 ** -0.5), "softcap": "2.0"}

ROWS = {
    "llama": row("LlamaConfig", "I", [CAUSAL], ROTARY, BIASES, **GROUPED),
    "llama-wide-heads": row("LlamaConfig", "I", [CAUSAL], ROTARY | BIASES | {"b_O"}, **GROUPED, head_dim=16,
                            attention_bias=True),
    "llama-yarn": row("LlamaConfig", "I", [CAUSAL], ROTARY, **GROUPED, rope_parameters=YARN),
    "llama4-chunks": row("Llama4TextConfig", "QKV I", [{}, CAUSAL], {"attn_mask"}, **GROUPED, **EXPERTS, head_dim=16,
                         intermediate_size_mlp=64, moe_layers=[], attention_chunk_size=8, no_rope_layers=[1, 0]),
    "mistral-window": row("MistralConfig", "I", [{**CAUSAL, "left_window_size": "3"}], ROTARY, **GROUPED,
                          sliding_window=4),
    "mistral-wide-window": row("MistralConfig", "I", [{**CAUSAL, "left_window_size": "49"}], ROTARY, **GROUPED,
                               sliding_window=50),
    "qwen2": row("Qwen2Config", "I", [CAUSAL], ROTARY | BIASES, {"b_O"}, **GROUPED),
    "qwen3-norms": row("Qwen3Config", "QKV", [CAUSAL], **GROUPED, head_dim=16),
    "qwen3-next-hybrid": row("Qwen3NextConfig", "QKV", [{}, CAUSAL], **GROUPED, head_dim=16, num_experts=2,
                             num_experts_per_tok=1, layer_types=["linear_attention", "full_attention"],
                             linear_num_value_heads=2, linear_num_key_heads=2, linear_key_head_dim=8,
                             linear_value_head_dim=8),
    "gemma2": row("Gemma2Config", "I", [{**GEMMA, "left_window_size": "4"}, GEMMA], ROTARY, **GROUPED, head_dim=16,
                  query_pre_attn_scalar=10, attn_logit_softcapping=2.0, sliding_window=5),
    "gemma3-norms": row("Gemma3TextConfig", "QKV", [{**CAUSAL, "left_window_size": "4"}], **GROUPED, head_dim=16,
                        query_pre_attn_scalar=16, sliding_window=5),
    "bitnet-norm-of-y": row("BitNetConfig", "I", [CAUSAL], ROTARY, {"W_O"}, **GROUPED),
    "deepseek-latent": row("DeepseekV3Config", "QKV", [CAUSAL], **WIDTH, num_key_value_heads=4, q_lora_rank=16,
                           kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=12,
                           first_k_dense_replace=2),
    "gpt2": row("GPT2Config", "I", [CAUSAL], BIASES | {"b_O"}, ROTARY, **GPT2),
    "gpt2-scaled-by-layer": row("GPT2Config", "I", [CAUSAL, {**CAUSAL, "scale": repr(12 ** -0.5 / 2)}], BIASES,
                                **GPT2, scale_attn_by_inverse_layer_idx=True),
    "gpt-neox": row("GPTNeoXConfig", "I", [{**CAUSAL, "rotary_embedding_dim": "6"}], ROTARY | BIASES, **WIDTH,
                    rope_parameters=PART),
    "opt-scaled-queries": row("OPTConfig", "I", [CAUSAL], BIASES | {"b_O"}, ROTARY, **WIDTH, word_embed_proj_dim=48,
                              ffn_dim=64, init_std=0.3),
    "phi3-fused": row("Phi3Config", "I", [CAUSAL], ROTARY, BIASES, **GROUPED),
    "cohere-interleaved": row("CohereConfig", "I", [{**CAUSAL, "rotary_interleaved": "1"}], ROTARY, **GROUPED),
    "smollm3-without-position": row("SmolLM3Config", "I", [CAUSAL], **GROUPED, no_rope_layers=[1, 0]),
    "bert": row("BertConfig", "I", [{}], BIASES | {"b_O"}, ROTARY, **WIDTH),
    "albert-one-module": row("AlbertConfig", "I", [{}], BIASES | {"b_O"}, ROTARY, **WIDTH, embedding_size=16),
    "roberta": row("RobertaConfig", "I", [CAUSAL], BIASES | {"b_O"}, ROTARY, **WIDTH, is_decoder=True),
    "distilbert": row("DistilBertConfig", "I", [{}], BIASES | {"b_O"}, ROTARY, dim=48, n_heads=4, n_layers=2,
                      hidden_dim=64, vocab_size=30522, initializer_range=0.3, max_position_embeddings=128),
    "modernbert": row("ModernBertConfig", "I", [{}, {"left_window_size": "3", "right_window_size": "3"}], ROTARY,
                      BIASES, **WIDTH, local_attention=6, global_attn_every_n_layers=2),
    "gpt-oss-sinks": refused("GptOssConfig", ["layer 0", "no softmax", "s_aux"], **GROUPED, **EXPERTS, head_dim=16),
    "bloom-own-attention": refused("BloomConfig", ["bloom"], hidden_size=48, n_head=4, n_layer=2, vocab_size=30522),
    "t5-two-stacks": refused("T5Config", ["encoder and a decoder", "t5"], d_model=48, num_layers=1, num_heads=4,
                             d_kv=12, d_ff=64, vocab_size=30522),
}


def is_causal(name):
    return any(attributes.get("is_causal") for attributes in ROWS[name].get("layers", []))


def make(name, folder, tokenizer_folder):
    """The folder of a row's model, with another's tokenizer; returns its configuration."""
    entry = ROWS[name]
    config = getattr(transformers, entry["config"])(**entry["arguments"])
    torch.manual_seed(1)
    headed = transformers.AutoModelForCausalLM
    if config.is_encoder_decoder:
        headed = transformers.AutoModelForSeq2SeqLM
    elif not is_causal(name) and "refused" not in entry:
        headed = transformers.AutoModel
    model = headed.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # biases and norms, which begin as zeros and ones
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(os.path.join(tokenizer_folder, file), folder)
    return config
