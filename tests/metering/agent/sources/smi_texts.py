"""What `nvidia-smi -q -x` and `nvidia-smi -q` write, by hand in the format of drivers 470, 550 and 590."""

XML_590 = """\
<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">
<nvidia_smi_log>
	<timestamp>Tue Jul 14 08:12:53 2026</timestamp>
	<driver_version>590.48.01</driver_version>
	<attached_gpus>2</attached_gpus>
	<gpu id="00000000:00:09.0">
		<product_name>NVIDIA H100 80GB HBM3</product_name>
		<mig_mode>
			<current_mig>Disabled</current_mig>
		</mig_mode>
		<mig_devices>
			None
		</mig_devices>
		<uuid>GPU-1</uuid>
		<minor_number>5</minor_number>
		<clocks_event_reasons>
			<clocks_event_reason_gpu_idle>Not Active</clocks_event_reason_gpu_idle>
			<clocks_event_reason_sw_power_cap>Active</clocks_event_reason_sw_power_cap>
			<clocks_event_reason_hw_slowdown>Not Active</clocks_event_reason_hw_slowdown>
			<clocks_event_reason_hw_thermal_slowdown>Not Active</clocks_event_reason_hw_thermal_slowdown>
			<clocks_event_reason_hw_power_brake_slowdown>Active</clocks_event_reason_hw_power_brake_slowdown>
			<clocks_event_reason_sync_boost>Active</clocks_event_reason_sync_boost>
			<clocks_event_reason_sw_thermal_slowdown>Not Active</clocks_event_reason_sw_thermal_slowdown>
		</clocks_event_reasons>
		<fb_memory_usage>
			<total>81559 MiB</total>
			<reserved>479 MiB</reserved>
			<used>19818 MiB</used>
			<free>61263 MiB</free>
		</fb_memory_usage>
		<utilization>
			<gpu_util>97 %</gpu_util>
			<memory_util>41 %</memory_util>
		</utilization>
		<temperature>
			<gpu_temp>61 C</gpu_temp>
			<gpu_temp_tlimit>26 C</gpu_temp_tlimit>
			<memory_temp>72 C</memory_temp>
		</temperature>
		<gpu_power_readings>
			<power_state>P0</power_state>
			<average_power_draw>629.45 W</average_power_draw>
			<instant_power_draw>588.39 W</instant_power_draw>
			<current_power_limit>700.00 W</current_power_limit>
			<default_power_limit>650.00 W</default_power_limit>
		</gpu_power_readings>
		<module_power_readings>
			<average_power_draw>N/A</average_power_draw>
		</module_power_readings>
		<clocks>
			<graphics_clock>1975 MHz</graphics_clock>
			<sm_clock>1980 MHz</sm_clock>
			<mem_clock>2619 MHz</mem_clock>
		</clocks>
		<max_clocks>
			<sm_clock>2000 MHz</sm_clock>
		</max_clocks>
	</gpu>
	<gpu id="00000000:00:0A.0">
		<product_name>NVIDIA H100 80GB HBM3</product_name>
		<mig_mode>
			<current_mig>Enabled</current_mig>
		</mig_mode>
		<mig_devices>
			<mig_device>
				<index>0</index>
				<gpu_instance_id>2</gpu_instance_id>
				<compute_instance_id>0</compute_instance_id>
				<fb_memory_usage>
					<total>40448 MiB</total>
					<used>11091 MiB</used>
				</fb_memory_usage>
			</mig_device>
			<mig_device>
				<index>1</index>
				<gpu_instance_id>9</gpu_instance_id>
				<compute_instance_id>1</compute_instance_id>
				<fb_memory_usage>
					<total>9984 MiB</total>
					<used>9 MiB</used>
				</fb_memory_usage>
			</mig_device>
		</mig_devices>
		<uuid>GPU-2</uuid>
		<fb_memory_usage>
			<total>81559 MiB</total>
			<used>11125 MiB</used>
		</fb_memory_usage>
		<utilization>
			<gpu_util>N/A</gpu_util>
			<memory_util>[N/A]</memory_util>
		</utilization>
		<gpu_power_readings>
			<average_power_draw>432.21 W</average_power_draw>
			<current_power_limit>Requested functionality has been deprecated</current_power_limit>
		</gpu_power_readings>
	</gpu>
</nvidia_smi_log>
"""

# Before driver 535: other names for power and throttling.
XML_470 = """\
<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v11.dtd">
<nvidia_smi_log>
	<gpu id="00000000:3B:00.0">
		<product_name>NVIDIA A100-SXM4-80GB</product_name>
		<uuid>GPU-a100</uuid>
		<clocks_throttle_reasons>
			<clocks_throttle_reason_sw_power_cap>Not Active</clocks_throttle_reason_sw_power_cap>
			<clocks_throttle_reason_hw_slowdown>Active</clocks_throttle_reason_hw_slowdown>
			<clocks_throttle_reason_hw_thermal_slowdown>Active</clocks_throttle_reason_hw_thermal_slowdown>
		</clocks_throttle_reasons>
		<power_readings>
			<power_draw>245.50 W</power_draw>
			<power_limit>400.00 W</power_limit>
			<enforced_power_limit>350.00 W</enforced_power_limit>
		</power_readings>
	</gpu>
</nvidia_smi_log>
"""

TEXT_590 = """\

==============NVSMI LOG==============

Timestamp                                              : Tue Jul 14 09:00:44 2026
Driver Version                                         : 590.48.01
Attached GPUs                                          : 2
GPU 00000000:00:09.0
    Product Name                                       : NVIDIA H100 80GB HBM3
    MIG Mode
        Current                                        : Enabled
        Pending                                        : Enabled
    MIG Device
        Index                                          : 0
        GPU Instance ID                                : 2
        Compute Instance ID                            : 0
        Device Attributes
            Shared
                Multiprocessor count                   : 60
        Shared FB Memory Usage
            Total                                      : 40448 MiB
            Used                                       : 11091 MiB
        Shared BAR1 Memory
            Total                                      : 24739 MiB
    MIG Device
        Index                                          : 1
        GPU Instance ID                                : 3
        Compute Instance ID                            : 1
        Shared FB Memory Usage
            Total                                      : 20096 MiB
            Used                                       : 17 MiB
    GPU UUID                                           : GPU-1
    Clocks Event Reasons
        Idle                                           : Not Active
        SW Power Cap                                   : Not Active
        HW Slowdown                                    : Active
            HW Thermal Slowdown                        : Active
            HW Power Brake Slowdown                    : Not Active
        Sync Boost                                     : Not Active
        SW Thermal Slowdown                            : Not Active
    Clocks Event Reasons Counters
        SW Power Capping                               : 0 us
    FB Memory Usage
        Total                                          : 81559 MiB
        Used                                           : 11125 MiB
    BAR1 Memory Usage
        Used                                           : 81081 MiB
    Utilization
        GPU                                            : N/A
        Memory                                         : N/A
    Temperature
        GPU Current Temp                               : 53 C
        GPU T.Limit Temp                               : 24 C
        Memory Current Temp                            : 58 C
    GPU Power Readings
        Average Power Draw                             : 432.21 W
        Instantaneous Power Draw                       : 444.72 W
        Current Power Limit                            : 700.00 W
    GPU Memory Power Readings 
        Average Power Draw                             : 93.98 W
    Clocks
        Graphics                                       : 1975 MHz
        SM                                             : 1980 MHz
        Memory                                         : 2619 MHz
    Max Clocks
        SM                                             : 2000 MHz
    Processes
        GPU instance ID                                : 2
            Process ID                                 : 11327

GPU 00000000:00:0A.0
    Product Name                                       : NVIDIA L4
    GPU UUID                                           : GPU-2
    Utilization
        GPU                                            : 12 %
    Power Readings
        Power Draw                                     : 30.25 W
        Enforced Power Limit                           : 72.00 W
"""  # noqa: W291
