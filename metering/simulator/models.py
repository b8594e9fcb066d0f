"""Language models as an engine sees them: weights to read, FLOPs per token, bytes of KV cache. From their published configurations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """Parameters in units, not billions. Of a mixture of experts, `expert_parameters` are all routed experts' together."""

    name: str
    dense_parameters: float
    layers: int
    attention_width: int  # query heads x head size
    context: int  # tokens, the longest sequence
    weight_bytes: int  # per parameter: 2 for bf16, 1 for fp8
    step_overhead_s: float  # launching and synchronising one iteration, whatever is in it (assumption)
    kv_heads: int = 0
    head_size: int = 0
    latent_width: int = 0  # multi-head latent attention: numbers kept per token and layer, instead of heads
    expert_parameters: float = 0.0
    experts: int = 1
    experts_used: int = 0
    compute_efficiency: float = (
        1.0  # of a dense model's: the many small matrix products of experts reach less (assumption)
    )
    generates: bool = True  # False: an embedding model, done when the prompt is

    @property
    def active_parameters(self) -> float:
        """That one token is multiplied with."""
        return self.dense_parameters + self.expert_parameters * self.experts_used / self.experts

    @property
    def weights_bytes(self) -> float:
        return (self.dense_parameters + self.expert_parameters) * self.weight_bytes

    def kv_bytes_per_token(self, gpus: int) -> float:
        """In all `gpus` of a tensor-parallel group together, 16-bit cache.

        A group larger than the number of KV heads holds each head more than once, and every GPU holds the whole latent vector of MLA.
        """
        if self.latent_width:
            return float(self.layers * self.latent_width * 2 * gpus)
        return float(self.layers * 2 * max(self.kv_heads, gpus) * self.head_size * 2) if self.kv_heads else 0.0


# Shapes: the models' config.json and cards on Hugging Face (meta-llama, Qwen, deepseek-ai, BAAI). Parameters of the experts are
# layers x experts x 3 matrices x hidden size x expert width.
LLAMA_8B = ModelShape("llama-3.1-8b", 8.03e9, 32, 32 * 128, 131_072, 2, step_overhead_s=3e-3, kv_heads=8, head_size=128)
LLAMA_70B = ModelShape(
    "llama-3.3-70b", 70.6e9, 80, 64 * 128, 131_072, 2, step_overhead_s=5e-3, kv_heads=8, head_size=128
)
QWEN3_235B = ModelShape(
    "qwen3-235b-a22b",
    8.0e9,
    94,
    64 * 128,
    131_072,  # 32,768 of its own, 131,072 with YaRN
    2,
    step_overhead_s=7e-3,
    kv_heads=4,
    head_size=128,
    expert_parameters=94 * 128 * 3 * 4096 * 1536,
    experts=128,
    experts_used=8,
    compute_efficiency=0.6,
)
DEEPSEEK_R1 = ModelShape(
    "deepseek-r1",
    16.9e9,
    61,
    128 * 128,
    163_840,
    1,  # published in fp8
    step_overhead_s=8e-3,
    latent_width=512 + 64,
    expert_parameters=58 * 256 * 3 * 7168 * 2048,
    experts=256,
    experts_used=8,
    compute_efficiency=0.6,
)
BGE_M3 = ModelShape(
    "bge-m3", 0.31e9, 24, 16 * 64, 8_192, 2, step_overhead_s=3e-3, generates=False
)  # without embeddings

CATALOGUE = {shape.name: shape for shape in (LLAMA_8B, LLAMA_70B, QWEN3_235B, DEEPSEEK_R1, BGE_M3)}
