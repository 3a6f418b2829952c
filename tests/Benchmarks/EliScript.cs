namespace Exitless.Benchmarks;

/// <summary>The shell functions of the ELI benchmark, in the lab's host. Windows print lines of <c>key value</c>.</summary>
internal static class EliScript
{
    /// <summary>Two VFs; the PF is the other end of all traffic, on CPU 0.</summary>
    public const string SetUp = """
        pf=$(readlink -f /sys/class/net/eth1/device)
        echo 0 >$pf/sriov_drivers_autoprobe
        echo 2 >$pf/sriov_numvfs
        ip address add 10.0.3.1/24 dev eth1
        ip link set eth1 up
        basename $(readlink -f $pf/virtfn0)
        basename $(readlink -f $pf/virtfn1)
        """;

    /// <summary>Two timers of the guest's own that have nothing to do with its interrupts: the statistics of memory, and proactive compaction.</summary>
    public const string TameGuest = "type_in_guest 'echo 1000 >/proc/sys/vm/stat_interval; echo 0 >/proc/sys/vm/compaction_proactiveness' >/dev/null\n";

    public const string Functions = """
        F=/run/eli
        type_in_guest() { # a command; prints what the guest answered
          at=$(wc -c <$F/out); echo "$1; echo EN''D-OF-IT" >$F/in
          n=0; until tail -c +$((at + 1)) $F/out | tr -d '\r' | grep -q '^END-OF-IT$' || [ $n -ge 300 ]; do sleep 0.2; n=$((n + 1)); done
          tail -c +$((at + 1)) $F/out | tr -d '\r'
        }
        start_vm() { # the agent's description of it
          rm -rf $F; mkdir -p $F; mkfifo $F/in; cat >$F/spec.json
          sleep 1000000 >$F/in & echo $! >$F/holder
          (exec setsid /opt/exitless-agent boot $F/spec.json --run-dir $F/run <$F/in >$F/out 2>$F/messages) &
          n=0; until grep -q 'exitless: ready' $F/out; do sleep 0.5; n=$((n + 1)); [ $n -lt 360 ] || { cat $F/messages; return 1; }; done
          sed -n 's/.*: process //p' $F/messages >$F/vm
          sleep 8
        }
        stop_vm() {
          vm=$(cat $F/vm)
          [ ! -e /proc/$vm ] || echo 'poweroff -f' >$F/in
          n=0; while [ -e /proc/$vm ] && [ $n -lt 100 ]; do sleep 0.2; n=$((n + 1)); done
          kill $vm $(cat $F/holder) 2>/dev/null
          n=0; while pidof exitless-agent >/dev/null && [ $n -lt 100 ]; do sleep 0.2; n=$((n + 1)); done
          sleep 1
        }
        # What the guest itself counted: interrupts of its VF, packets that its VF received.
        guest() { type_in_guest "report irq; report link" | awk -v p="$1" '
          /^exitless: irq/ { for (i = 3; i <= NF; i++) { split($i, w, "="); s += w[2] } print p "guestInterrupts", s }
          /^exitless: link name=eth0/ { for (i = 3; i <= NF; i++) { split($i, w, "="); if (w[1] == "rx_packets") print p "guestPackets", w[2] } }'; }
        host() {
          (cd /sys/kernel/debug/kvm/*-*/ && grep -H . exits irq_exits irq_injections irq_window_exits halt_exits eli_* 2>/dev/null) | tr ':' ' ' | sed "s/^/$1/"
          awk -v p="$1" '/vfio-msix/ { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { print p "hostInterrupts", n + 0 }' /proc/interrupts
          awk -v p="$1" '{ printf "%suptimeMs %.0f\n", p, $1 * 1000 }' /proc/uptime
          cut -d ')' -f 2 /proc/$(cat $F/vm)/stat | awk -v p="$1" '{ print p "guestTicks", $41 }'
        }
        # Pings from CPU 0: packets, packets a second, how many at once. The guest answers them, or, streaming, only takes them.
        load() {
          each=$(($1 / $3)); pause=$(awk -v r=$2 -v n=$3 'BEGIN { print n / r }'); rm -f $F/ping.*
          for n in $(seq $3); do taskset 1 ping -q -c $each -i $pause -W 1 10.0.3.$4 >$F/ping.$n & pings="$pings $!"; done
          wait $pings; pings=
          awk '/packets transmitted/ { s += $1; r += $4 } END { print "sent", s; print "answered", r }' $F/ping.*
          sleep 2
        }
        window() { # rest SECONDS | load PACKETS RATE AT_ONCE
          exits=/sys/kernel/tracing/events/kvm/kvm_exit
          guest before.; echo 'hist:keys=exit_reason' >$exits/trigger; host before.
          case $1 in rest) sleep $2 ;; load) load $2 $3 $4 20 ;; esac
          host after.
          awk '/hitcount:/ { for (i = 1; i <= NF; i++) { if ($i == "exit_reason:") key = $(i + 1); if ($i == "hitcount:") print "reason." key, $(i + 1) } }' $exits/hist
          echo '!hist:keys=exit_reason' >$exits/trigger
          guest after.
        }

        """;

    /// <summary>A VF of each of two PFs; the PFs are the other ends of the traffic.</summary>
    public const string SetUpPair = """
        for n in 1 2; do
          pf=$(readlink -f /sys/class/net/eth$n/device)
          echo 0 >$pf/sriov_drivers_autoprobe
          echo 1 >$pf/sriov_numvfs
          ip address add 10.0.$((n + 2)).1/24 dev eth$n
          ip link set eth$n up
          basename $(readlink -f $pf/virtfn0)
        done

        """;

    /// <summary>The guest's second VF, in the second PF's network.</summary>
    public const string SecondLink = "ip address add 10.0.4.20/24 dev eth1";

    /// <summary>Everything that may change about a vCPU's interrupts, changing. The guest's part ends when /run/moving is gone, the module's after its time.</summary>
    public const string Churn = """
        guest_pair() { type_in_guest "report irq; report link; for n in 0 1; do echo device eth\$n \$(ethtool -S eth\$n | grep ' rx_packets:'); done; echo rounds \$(cat /sys/module/attack/parameters/rounds)" | awk -v p="$1" '
          /^exitless: irq/ { for (i = 3; i <= NF; i++) if ($i ~ /^eth/) { split($i, w, "="); s += w[2] } print p "guestInterrupts", s }
          /^exitless: link/ { for (i = 3; i <= NF; i++) { split($i, w, "="); if (w[1] == "name") name = w[2]; if (w[1] == "rx_packets") print p "handled." name, w[2] } }
          /^device eth/ { print p "received." $2, $4 }
          /^rounds [0-9]/ { print }'; }
        start_churn() { # seconds
          type_in_guest ": >/run/moving; (while [ -e /run/moving ]; do for mask in 1 2; do for link in eth0 eth1; do for irq in \$(ls /sys/class/net/\$link/device/msi_irqs); do echo \$mask >/proc/irq/\$irq/smp_affinity; done; mask=\$((3 - mask)); done; sleep 1; done; done) & insmod /lib/attack.ko what=churn seconds=$1 & sleep 1" >/dev/null
        }
        end_churn() { type_in_guest 'rm /run/moving; wait' >/dev/null; }
        churn_minute() { # packets, seconds
          pause=$(awk -v n=$1 -v s=$2 'BEGIN { print s / n }'); rm -f $F/ping.*
          for net in 3 4; do taskset 1 ping -q -c $1 -i $pause -W 5 10.0.$net.20 >$F/ping.$net & pings="$pings $!"; done
          for task in /proc/$(cat $F/vm)/task/*; do case $(cat $task/comm) in 'vcpu 0') first=${task##*/} ;; 'vcpu 1') second=${task##*/} ;; esac; done
          moves=0
          while [ $moves -lt $(($2 * 4 / 5)) ]; do
            # The two vCPUs change places, and in every fourth step one is where the watchdog is.
            case $((moves / 2 % 4)) in 0) a=4 b=2 ;; 1) a=2 b=4 ;; 2) a=1 b=4 ;; 3) a=2 b=4 ;; esac
            taskset -p $a $first >/dev/null; taskset -p $b $second >/dev/null
            moves=$((moves + 2)); sleep 2
          done
          wait $pings; pings=
          echo moves $moves
          awk '/packets transmitted/ { s += $1; r += $4 } /min.avg.max/ { split($0, w, "[/ ]"); for (i in w) if (w[i] ~ /^[0-9.]+$/ && w[i] > max) max = w[i] } END { print "sent", s; print "answered", r; printf "slowestMs %.0f\n", max }' $F/ping.*
        }

        """;

    /// <summary>The second VF under the host's own igbvf, in a network namespace: bare metal, as far as the lab has it. Expects VF and a function <c>load</c>.</summary>
    public const string BareHost = """
        mkdir -p $F; insmod /lib/modules/$(uname -r)/igbvf.ko 2>/dev/null
        echo igbvf >/sys/bus/pci/devices/$VF/driver_override; echo $VF >/sys/bus/pci/drivers_probe; sleep 3
        link=$(ls /sys/bus/pci/devices/$VF/net)
        unshare -n sleep 100000 & ns=$!; sleep 1
        ip link set $link netns $ns
        nsenter -t $ns -n sh -c "ip link set lo up; ip address add 10.0.3.21/24 dev $link; ip link set $link up; echo $ANSWERS >/proc/sys/net/ipv4/icmp_echo_ignore_all"
        sleep 3
        for irq in $(ls /sys/bus/pci/devices/$VF/msi_irqs); do echo 1 >/proc/irq/$irq/smp_affinity_list; done
        count() { for irq in $(ls /sys/bus/pci/devices/$VF/msi_irqs); do cat /sys/kernel/irq/$irq/per_cpu_count; done | tr ',\n' '\n\n' | awk '{ n += $1 } END { print n + 0 }'; }
        a=$(count); load $PACKETS $RATE $ATONCE 21; b=$(count)
        echo "interrupts $((b - a))"
        kill $ns; sleep 2; echo $VF >/sys/bus/pci/drivers/igbvf/unbind
        """;
}
