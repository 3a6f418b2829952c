using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Exitless.ControlPlane.Identity;

/// <summary>The people who may sign in. There is one at first: the administrator, whose password is made at the first start.</summary>
internal sealed class People(UserManager<Person> users, ControlPlaneContext db, TimeProvider time)
{
    public const string Administrator = "admin";

    /// <summary>Makes the administrator when there is nobody yet; the password, or null.</summary>
    public async Task<string?> MakeFirstAsync(CancellationToken ct)
    {
        if (await users.Users.AnyAsync(ct))
            return null;
        var password = Secret.Password();
        var first = new Person { Id = Guid.CreateVersion7(time.GetUtcNow()), UserName = Administrator };
        db.Grants.Add(new GrantRow { Id = Guid.CreateVersion7(time.GetUtcNow()), SubjectId = first.Id, ProjectId = null, Role = Role.Admin });
        Check(await users.CreateAsync(first, password));
        return password;
    }

    /// <summary>Gives a person a new password, and ends all their sessions; null: there is no such person.</summary>
    public async Task<string?> ResetPasswordAsync(string name)
    {
        if (await users.FindByNameAsync(name) is not { } person)
            return null;
        var password = Secret.Password();
        Check(await users.RemovePasswordAsync(person));
        Check(await users.AddPasswordAsync(person, password));
        Check(await users.UpdateSecurityStampAsync(person));
        Check(await users.SetLockoutEndDateAsync(person, null));
        return password;
    }

    private static void Check(IdentityResult result)
    {
        if (!result.Succeeded)
            throw new InvalidOperationException(string.Join(" ", result.Errors.Select(e => e.Description)));
    }
}

/// <summary>At the first start: makes the administrator and shows the password on the console, this once.</summary>
internal sealed class FirstPassword(IServiceProvider services, ChangeRunner runner) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await using var scope = services.CreateAsyncScope();
        if (await scope.ServiceProvider.GetRequiredService<People>().MakeFirstAsync(cancellationToken) is not { } password)
            return;
        await runner.RunAsync((db, changes) =>
        {
            changes.Tell(db, "first-start", EventSeverity.Info, $"The first start: user {People.Administrator} was made.", by: Actor.ControlPlane);
            return Task.CompletedTask;
        }, cancellationToken);
        Console.WriteLine($"first user: {People.Administrator}");
        Console.WriteLine($"first password: {password}");
        await Console.Out.FlushAsync(cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
