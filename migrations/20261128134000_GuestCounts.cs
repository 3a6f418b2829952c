using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Exitless.Migrations
{
    /// <inheritdoc />
    public partial class GuestCounts : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<bool>(
                name: "guest_counts",
                table: "vms",
                type: "boolean",
                nullable: false,
                defaultValue: false);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "guest_counts",
                table: "vms");
        }
    }
}
