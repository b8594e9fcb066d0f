"""Hand-written rows in the formats of the public traces."""

from pathlib import Path

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:18:00,110,0
"""

MOONCAKE = """{"timestamp": 0, "input_length": 1100, "output_length": 50, "hash_ids": [0, 1, 2]}
{"timestamp": 0, "input_length": 1300, "output_length": 60, "hash_ids": [0, 1, 7]}

{"timestamp": 3000, "input_length": 700, "output_length": 70, "hash_ids": [0, 1]}
"""

SERVEGEN = """client_id,window_start_s,rate_rps,cv,arrival_dist,param1,param2
0,0,0.5,1.2,Gamma,0.7,2.8
0,600,0,0,,0,0
4,0,0.05,6.7,Gamma,0.02,73
4,600,0.1,0.9,Weibull,1.1,9.6
"""

LENGTHS = (
    '{"client_id": 0, "window_start_s": 0, "input_tokens": "{100: 0.5, 200: 0.5}",'
    ' "output_tokens": "{30: 1.0}", "reason_ratio": "{0.5: 1.0}"}\n'
    '{"client_id": 0, "window_start_s": 21600, "input_tokens": "{}", "output_tokens": "{}", "reason_ratio": "{}"}\n'
    '{"client_id": 4, "window_start_s": 0, "input_tokens": "{7: 0.5, 9: 0.5}", "output_tokens": "{2: 1.0}"}\n'
)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
