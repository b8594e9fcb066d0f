"""What engines write at /metrics, by hand in the format of their released sources."""

VLLM = """\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 12345.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 17.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 3.0
# HELP vllm:num_requests_waiting_by_reason Number of waiting requests by reason.
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct",reason="capacity"} 3.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 0.625
# HELP vllm:prefix_cache_queries_total Prefix cache queries, in terms of number of queried tokens.
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 5.91508e+07
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 3.41766e+07
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 4.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 5.91509e+07
# TYPE vllm:prompt_tokens_cached_total counter
vllm:prompt_tokens_cached_total{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 3.41767e+07
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 739935.0
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="meta-llama/Llama-3.3-70B-Instruct"} 950.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="meta-llama/Llama-3.3-70B-Instruct"} 28.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="meta-llama/Llama-3.3-70B-Instruct"} 6.0
vllm:request_success_total{engine="0",finished_reason="error",model_name="meta-llama/Llama-3.3-70B-Instruct"} 0.0
# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="meta-llama/Llama-3.3-70B-Instruct"} 0.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="meta-llama/Llama-3.3-70B-Instruct"} 984.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 984.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 431.25
# TYPE vllm:inter_token_latency_seconds histogram
vllm:inter_token_latency_seconds_count{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 738954.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 51901.0
# TYPE vllm:request_time_per_output_token_seconds histogram
vllm:request_time_per_output_token_seconds_count{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 978.0
vllm:request_time_per_output_token_seconds_sum{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 70.5
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_count{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 978.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 52905.5
# TYPE vllm:request_queue_time_seconds histogram
vllm:request_queue_time_seconds_count{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 978.0
vllm:request_queue_time_seconds_sum{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 12.5
# TYPE vllm:request_prefill_time_seconds histogram
vllm:request_prefill_time_seconds_count{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 978.0
vllm:request_prefill_time_seconds_sum{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 1225.25
# TYPE vllm:request_decode_time_seconds histogram
vllm:request_decode_time_seconds_count{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 978.0
vllm:request_decode_time_seconds_sum{engine="0",model_name="meta-llama/Llama-3.3-70B-Instruct"} 51132.0
"""

# Version 0 of vLLM: no label `engine`, other names.
VLLM_OLD = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="llama2-70b"} 8.0
vllm:num_requests_waiting{model_name="llama2-70b"} 2.0
vllm:num_requests_swapped{model_name="llama2-70b"} 1.0
vllm:gpu_cache_usage_perc{model_name="llama2-70b"} 0.5
vllm:gpu_prefix_cache_queries_total{model_name="llama2-70b"} 1000.0
vllm:gpu_prefix_cache_hits_total{model_name="llama2-70b"} 250.0
vllm:num_preemptions_total{model_name="llama2-70b"} 0.0
vllm:prompt_tokens_total{model_name="llama2-70b"} 1200.0
vllm:generation_tokens_total{model_name="llama2-70b"} 3400.0
vllm:request_success_total{finished_reason="stop",model_name="llama2-70b"} 12.0
vllm:time_to_first_token_seconds_count{model_name="llama2-70b"} 12.0
vllm:time_to_first_token_seconds_sum{model_name="llama2-70b"} 2.5
vllm:time_per_output_token_seconds_count{model_name="llama2-70b"} 3388.0
vllm:time_per_output_token_seconds_sum{model_name="llama2-70b"} 80.0
vllm:e2e_request_latency_seconds_count{model_name="llama2-70b"} 12.0
vllm:e2e_request_latency_seconds_sum{model_name="llama2-70b"} 95.0
vllm:request_queue_time_seconds_count{model_name="llama2-70b"} 12.0
vllm:request_queue_time_seconds_sum{model_name="llama2-70b"} 0.5
vllm:request_prefill_time_seconds_count{model_name="llama2-70b"} 12.0
vllm:request_prefill_time_seconds_sum{model_name="llama2-70b"} 1.5
vllm:request_decode_time_seconds_count{model_name="llama2-70b"} 12.0
vllm:request_decode_time_seconds_sum{model_name="llama2-70b"} 90.0
"""

SGLANG = """\
# HELP sglang:num_running_reqs The number of running requests.
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="qwen3",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 12.0
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{engine_type="unified",model_name="qwen3",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 5.0
# TYPE sglang:token_usage gauge
sglang:token_usage{engine_type="unified",model_name="qwen3",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 0.875
# TYPE sglang:cache_hit_rate gauge
sglang:cache_hit_rate{engine_type="unified",model_name="qwen3",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 0.25
# TYPE sglang:utilization gauge
sglang:utilization{engine_type="unified",model_name="qwen3",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 0.0
# TYPE sglang:num_retracted_requests_total counter
sglang:num_retracted_requests_total{engine_type="unified",model_name="qwen3",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 2.0
# TYPE sglang:queue_time_seconds histogram
sglang:queue_time_seconds_sum{engine_type="unified",model_name="qwen3",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 6.5
sglang:queue_time_seconds_bucket{engine_type="unified",le="0.0",model_name="qwen3",pp_rank="0",tp_rank="0"} 1.0
sglang:queue_time_seconds_count{engine_type="unified",model_name="qwen3",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 44.0
# TYPE sglang:prompt_tokens_total counter
sglang:prompt_tokens_total{model_name="qwen3"} 128201.0
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{model_name="qwen3"} 7557.0
# TYPE sglang:cached_tokens_total counter
sglang:cached_tokens_total{cache_source="device",model_name="qwen3"} 4000.0
sglang:cached_tokens_total{cache_source="host",model_name="qwen3"} 400.0
# TYPE sglang:num_requests_total counter
sglang:num_requests_total{model_name="qwen3"} 40.0
# TYPE sglang:num_aborted_requests_total counter
sglang:num_aborted_requests_total{model_name="qwen3"} 4.0
# TYPE sglang:time_to_first_token_seconds histogram
sglang:time_to_first_token_seconds_sum{model_name="qwen3"} 2.25
sglang:time_to_first_token_seconds_count{model_name="qwen3"} 44.0
# TYPE sglang:inter_token_latency_seconds histogram
sglang:inter_token_latency_seconds_sum{model_name="qwen3"} 75.5
sglang:inter_token_latency_seconds_count{model_name="qwen3"} 7513.0
# TYPE sglang:e2e_request_latency_seconds histogram
sglang:e2e_request_latency_seconds_sum{model_name="qwen3"} 116.5
sglang:e2e_request_latency_seconds_count{model_name="qwen3"} 40.0
"""

TGI = """\
# TYPE tgi_request_count counter
tgi_request_count 155
# TYPE tgi_request_success counter
tgi_request_success 150
# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 4
# TYPE tgi_queue_size gauge
tgi_queue_size 7
# TYPE tgi_request_generated_tokens histogram
tgi_request_generated_tokens_bucket{le="10"} 5
tgi_request_generated_tokens_sum 12500
tgi_request_generated_tokens_count 150
# TYPE tgi_request_input_length histogram
tgi_request_input_length_sum 18000
tgi_request_input_length_count 150
# TYPE tgi_request_duration histogram
tgi_request_duration_sum 310.5
tgi_request_duration_count 150
# TYPE tgi_request_queue_duration histogram
tgi_request_queue_duration_sum 3.25
tgi_request_queue_duration_count 150
# TYPE tgi_request_mean_time_per_token_duration histogram
tgi_request_mean_time_per_token_duration_sum 4.5
tgi_request_mean_time_per_token_duration_count 150
"""

TENSORRT_LLM = """\
# TYPE trtllm_request_success_total counter
trtllm_request_success_total{engine_type="trtllm",finished_reason="stop",model_name="llama-3.1-8b"} 95.0
trtllm_request_success_total{engine_type="trtllm",finished_reason="length",model_name="llama-3.1-8b"} 5.0
trtllm_request_success_total{engine_type="trtllm",finished_reason="cancelled",model_name="llama-3.1-8b"} 2.0
# TYPE trtllm_kv_cache_utilization gauge
trtllm_kv_cache_utilization{engine_type="trtllm",model_name="llama-3.1-8b"} 0.75
# TYPE trtllm_num_requests_running gauge
trtllm_num_requests_running{engine_type="trtllm",model_name="llama-3.1-8b"} 6.0
# TYPE trtllm_num_requests_waiting gauge
trtllm_num_requests_waiting{engine_type="trtllm",model_name="llama-3.1-8b"} 1.0
# TYPE trtllm_prompt_tokens_total counter
trtllm_prompt_tokens_total{engine_type="trtllm",model_name="llama-3.1-8b"} 51200.0
# TYPE trtllm_generation_tokens_total counter
trtllm_generation_tokens_total{engine_type="trtllm",model_name="llama-3.1-8b"} 12800.0
# TYPE trtllm_prompt_cached_tokens_total counter
trtllm_prompt_cached_tokens_total{engine_type="trtllm",model_name="llama-3.1-8b"} 1024.0
# TYPE trtllm_time_to_first_token_seconds histogram
trtllm_time_to_first_token_seconds_sum{engine_type="trtllm",model_name="llama-3.1-8b"} 12.5
trtllm_time_to_first_token_seconds_count{engine_type="trtllm",model_name="llama-3.1-8b"} 102.0
# TYPE trtllm_time_per_output_token_seconds histogram
trtllm_time_per_output_token_seconds_sum{engine_type="trtllm",model_name="llama-3.1-8b"} 1.5
trtllm_time_per_output_token_seconds_count{engine_type="trtllm",model_name="llama-3.1-8b"} 102.0
# TYPE trtllm_e2e_request_latency_seconds histogram
trtllm_e2e_request_latency_seconds_sum{engine_type="trtllm",model_name="llama-3.1-8b"} 204.5
trtllm_e2e_request_latency_seconds_count{engine_type="trtllm",model_name="llama-3.1-8b"} 102.0
# TYPE trtllm_request_queue_time_seconds histogram
trtllm_request_queue_time_seconds_sum{engine_type="trtllm",model_name="llama-3.1-8b"} 0.5
trtllm_request_queue_time_seconds_count{engine_type="trtllm",model_name="llama-3.1-8b"} 102.0
# TYPE trtllm_request_prefill_time_seconds histogram
trtllm_request_prefill_time_seconds_sum{engine_type="trtllm",model_name="llama-3.1-8b"} 11.5
trtllm_request_prefill_time_seconds_count{engine_type="trtllm",model_name="llama-3.1-8b"} 102.0
# TYPE trtllm_request_decode_time_seconds histogram
trtllm_request_decode_time_seconds_sum{engine_type="trtllm",model_name="llama-3.1-8b"} 190.0
trtllm_request_decode_time_seconds_count{engine_type="trtllm",model_name="llama-3.1-8b"} 102.0
"""

TRITON = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="ensemble",version="1"} 500
nv_inference_request_success{model="preprocessing",version="1"} 500
nv_inference_request_success{model="tensorrt_llm",version="1"} 498
nv_inference_request_success{model="postprocessing",version="1"} 498
# TYPE nv_inference_request_duration_us counter
nv_inference_request_duration_us{model="ensemble",version="1"} 900000000
nv_inference_request_duration_us{model="tensorrt_llm",version="1"} 850500000
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{model="ensemble",version="1"} 10
nv_inference_queue_duration_us{model="tensorrt_llm",version="1"} 2500000
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="ensemble",version="1"} 3
nv_inference_pending_request_count{model="tensorrt_llm",version="1"} 2
# TYPE nv_inference_first_response_histogram_ms histogram
nv_inference_first_response_histogram_ms_count{model="tensorrt_llm",version="1"} 498
nv_inference_first_response_histogram_ms_sum{model="tensorrt_llm",version="1"} 62250
# TYPE nv_trt_llm_request_metrics gauge
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 9
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="context",version="1"} 1
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 64
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 512
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="active",version="1"} 73
# TYPE nv_trt_llm_kv_cache_block_metrics gauge
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.5
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="tensorrt_llm",version="1"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 6239
# TYPE nv_llm_input_token_len histogram
nv_llm_input_token_len_count{model="tensorrt_llm",response_metric_type="total_input_tokens",version="1"} 498
nv_llm_input_token_len_sum{model="tensorrt_llm",response_metric_type="total_input_tokens",version="1"} 250000
# TYPE nv_llm_output_token_len histogram
nv_llm_output_token_len_count{model="tensorrt_llm",response_metric_type="total_output_tokens",version="1"} 498
nv_llm_output_token_len_sum{model="tensorrt_llm",response_metric_type="total_output_tokens",version="1"} 120000
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-340cec52-80ba-c0df-8511-5f9680aae0ed"} 0.85
nv_gpu_memory_total_bytes{gpu_uuid="GPU-340cec52-80ba-c0df-8511-5f9680aae0ed"} 16101933056
nv_gpu_memory_used_bytes{gpu_uuid="GPU-340cec52-80ba-c0df-8511-5f9680aae0ed"} 974913536
nv_gpu_power_usage{gpu_uuid="GPU-340cec52-80ba-c0df-8511-5f9680aae0ed"} 55.137
nv_gpu_power_limit{gpu_uuid="GPU-340cec52-80ba-c0df-8511-5f9680aae0ed"} 300
nv_energy_consumption{gpu_uuid="GPU-340cec52-80ba-c0df-8511-5f9680aae0ed"} 9380.053
"""
