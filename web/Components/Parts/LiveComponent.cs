using System.Threading.Channels;
using Exitless.ControlPlane.Api;
using Microsoft.AspNetCore.Components;

namespace Exitless.Web.Components.Parts;

/// <summary>
/// A component that shows what the store holds and reads it again when it changes.
/// Any number of changes that come while it reads or rests become one more reading, so a busy control plane costs a viewer at most five readings a second.
/// </summary>
public abstract class LiveComponent : ComponentBase, IAsyncDisposable
{
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _gone = new();
    private readonly Channel<bool> _changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private IDisposable? _subscription;
    private Task _pump = Task.CompletedTask;

    [Inject] private IChangeFeed Feed { get; set; } = default!;
    [Inject] private ILogger<LiveComponent> Log { get; set; } = default!;

    /// <summary>The clock.</summary>
    [Inject] protected TimeProvider Time { get; set; } = default!;

    /// <summary>Whether a reading has succeeded.</summary>
    protected bool Loaded { get; private set; }

    /// <summary>Why the last reading failed; null: it did not.</summary>
    protected ProblemException? Failure { get; private set; }

    /// <summary>Cancelled when the component goes.</summary>
    protected CancellationToken Gone => _gone.Token;

    /// <summary>Whether a change calls for another reading. Called on the thread that made the change: look at nothing but the arguments and immutable state.</summary>
    protected abstract bool Concerns(Change change);

    /// <summary>Reads everything that is shown.</summary>
    protected abstract Task LoadAsync(CancellationToken ct);

    /// <inheritdoc />
    protected override void OnInitialized()
    {
        // Subscribed before the first reading, so that nothing falls in between.
        _subscription = Feed.Subscribe(change => { if (Concerns(change)) _changed.Writer.TryWrite(true); });
        _pump = PumpAsync();
    }

    /// <inheritdoc />
    protected override Task OnParametersSetAsync() => ReloadAsync();

    /// <summary>Reads now.</summary>
    protected async Task ReloadAsync()
    {
        try
        {
            await LoadAsync(Gone);
            Loaded = true;
            Failure = null;
        }
        catch (OperationCanceledException) when (Gone.IsCancellationRequested)
        {
            // The page is gone, and with it whoever wanted to know.
        }
        catch (ProblemException problem)
        {
            Failure = problem;
        }
        catch (Exception exception)
        {
            Log.ReadingFailed(exception, GetType().Name);
            Failure = new ProblemException(ProblemKind.Unavailable, "reading-failed", "This could not be read.", "The control plane's store did not answer.", "Its log says why; the page tries again at the next change.");
        }
    }

    private async Task PumpAsync()
    {
        try
        {
            while (await _changed.Reader.WaitToReadAsync(Gone))
            {
                _changed.Reader.TryRead(out _);
                await InvokeAsync(async () =>
                {
                    await ReloadAsync();
                    StateHasChanged();
                });
                await Task.Delay(Rest, Time, Gone);
            }
        }
        catch (OperationCanceledException)
        {
            // The page is gone.
        }
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        _subscription?.Dispose();
        await _gone.CancelAsync();
        await DisposeCoreAsync();
        await _pump;
        _gone.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>What the component itself has to let go.</summary>
    protected virtual ValueTask DisposeCoreAsync() => ValueTask.CompletedTask;
}
